// Loads parts of a page on demand and adds copy buttons. Without JavaScript the page has links instead.
(() => {
  const errorLine = (text) => {
    const line = document.createElement("p");
    line.className = "error";
    line.setAttribute("role", "alert");
    line.textContent = text;
    return line;
  };

  // Fetches a page and returns the nodes of its #part: a list without the layout.
  const fetchPart = async (address) => {
    let response;
    try {
      response = await fetch(address, { credentials: "same-origin" });
    } catch {
      return [errorLine("Airflow did not respond. Try again.")];
    }
    const found = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("#part");
    if (response.ok && found) return [...found.childNodes].map((node) => document.importNode(node, true));
    const message = found && found.querySelector("p");
    if (message) return [errorLine(message.textContent)];
    return [errorLine(response.status === 401 ? "You are no longer logged in. Load this page again." : "This could not be loaded.")];
  };

  let number = 0;
  const uniqueIds = (nodes) => {
    number += 1;
    for (const node of nodes) {
      if (!(node instanceof Element)) continue;
      for (const each of node.querySelectorAll("[id]")) each.id += `-${number}`;
      for (const each of node.querySelectorAll("[aria-labelledby]"))
        each.setAttribute("aria-labelledby", `${each.getAttribute("aria-labelledby")}-${number}`);
      if (node.hasAttribute("aria-labelledby"))
        node.setAttribute("aria-labelledby", `${node.getAttribute("aria-labelledby")}-${number}`);
    }
    return nodes;
  };

  // Replaces all child nodes but one. That one is never detached: a detached summary would lose the focus.
  const replaceOthers = (container, kept, nodes) => {
    for (const node of [...container.childNodes]) if (node !== kept) node.remove();
    container.append(...nodes);
  };

  const fill = async (container, address, kept = null) => {
    container.setAttribute("aria-busy", "true");
    const waiting = document.createElement("p");
    waiting.className = "loading";
    waiting.setAttribute("role", "status");
    waiting.textContent = "Loading …";
    replaceOthers(container, kept, [waiting]);
    replaceOthers(container, kept, uniqueIds(await fetchPart(address)));
    container.removeAttribute("aria-busy");
    addBehavior(container);
  };

  const addBehavior = (container) => {
    for (const details of container.querySelectorAll("details[data-part]")) {
      details.addEventListener("toggle", () => {
        if (!details.open || details.dataset.loaded) return;
        details.dataset.loaded = "yes";
        fill(details, details.dataset.part, details.querySelector("summary"));
      });
    }
    for (const link of container.querySelectorAll("a[data-more]")) {
      link.addEventListener("click", async (event) => {
        const around = link.closest("details, #part");
        if (event.ctrlKey || event.metaKey || event.shiftKey || !around) return;
        event.preventDefault();
        const nodes = uniqueIds(await fetchPart(link.href));
        const line = link.closest("p");
        const next = nodes.flatMap((node) => (node instanceof Element ? [...node.querySelectorAll("a")] : []))[0];
        line.replaceWith(...nodes);
        addBehavior(around);
        if (next) next.focus();
      });
      link.removeAttribute("data-more");
    }
    if (navigator.clipboard) {
      for (const button of container.querySelectorAll("button[data-copy]")) {
        button.hidden = false;
        button.addEventListener("click", async () => {
          const label = button.innerHTML;
          try {
            await navigator.clipboard.writeText(button.dataset.copy);
            button.textContent = "Copied";
          } catch {
            button.textContent = "Select and copy the text";
          }
          setTimeout(() => (button.innerHTML = label), 2000);
        });
      }
    }
  };

  addBehavior(document);
  for (const container of document.querySelectorAll("div[data-part]")) fill(container, container.dataset.part);

  // A menu closes on a click outside and on Escape.
  for (const menu of document.querySelectorAll("details.menu")) {
    document.addEventListener("click", (event) => {
      if (!menu.contains(event.target)) menu.open = false;
    });
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  }
})();
