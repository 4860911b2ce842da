// Parts that are loaded when they are needed, and buttons that copy. Without it the same is there as links.
(() => {
  const sentence = (text) => {
    const line = document.createElement("p");
    line.className = "trouble";
    line.setAttribute("role", "alert");
    line.textContent = text;
    return line;
  };

  // The part of a page of ours: a list without what stands around it.
  const partOf = async (address) => {
    let answer;
    try {
      answer = await fetch(address, { credentials: "same-origin" });
    } catch {
      return [sentence("Airflow did not answer. Try again.")];
    }
    const found = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("#part");
    if (answer.ok && found) return [...found.childNodes].map((node) => document.importNode(node, true));
    const words = found && found.querySelector("p");
    if (words) return [sentence(words.textContent)];
    return [sentence(answer.status === 401 ? "You are not logged in any more. Load this page again." : "This could not be loaded.")];
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

  // What is kept stays where it is: a summary that is taken out and put back loses the focus.
  const put = (place, kept, nodes) => {
    for (const node of [...place.childNodes]) if (node !== kept) node.remove();
    place.append(...nodes);
  };

  const fill = async (place, address, kept = null) => {
    place.setAttribute("aria-busy", "true");
    const waiting = document.createElement("p");
    waiting.className = "loading";
    waiting.setAttribute("role", "status");
    waiting.textContent = "Loading …";
    put(place, kept, [waiting]);
    put(place, kept, uniqueIds(await partOf(address)));
    place.removeAttribute("aria-busy");
    ready(place);
  };

  const ready = (place) => {
    for (const details of place.querySelectorAll("details[data-part]")) {
      details.addEventListener("toggle", () => {
        if (!details.open || details.dataset.asked) return;
        details.dataset.asked = "yes";
        fill(details, details.dataset.part, details.querySelector("summary"));
      });
    }
    for (const link of place.querySelectorAll("a[data-more]")) {
      link.addEventListener("click", async (event) => {
        const around = link.closest("details, #part");
        if (event.ctrlKey || event.metaKey || event.shiftKey || !around) return;
        event.preventDefault();
        const nodes = uniqueIds(await partOf(link.href));
        const line = link.closest("p");
        const next = nodes.flatMap((node) => (node instanceof Element ? [...node.querySelectorAll("a")] : []))[0];
        line.replaceWith(...nodes);
        ready(around);
        if (next) next.focus();
      });
      link.removeAttribute("data-more");
    }
    if (navigator.clipboard) {
      for (const button of place.querySelectorAll("button[data-copy]")) {
        button.hidden = false;
        button.addEventListener("click", async () => {
          const was = button.innerHTML;
          try {
            await navigator.clipboard.writeText(button.dataset.copy);
            button.textContent = "Copied";
          } catch {
            button.textContent = "Select it and copy";
          }
          setTimeout(() => (button.innerHTML = was), 2000);
        });
      }
    }
  };

  ready(document);
  for (const place of document.querySelectorAll("div[data-part]")) fill(place, place.dataset.part);

  // A menu closes when one goes elsewhere.
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
