// Light or dark as Airflow's own switch says; it keeps its choice under "theme", and tells other frames of it.
(() => {
  const root = document.documentElement;
  const follow = () => {
    let chosen = null;
    try {
      chosen = localStorage.getItem("theme");
    } catch {
      // A browser that keeps nothing: as the system says.
    }
    if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;
    else delete root.dataset.theme;
    document.dispatchEvent(new Event("gong:theme"));
  };
  follow();
  addEventListener("storage", (event) => {
    if (event.key === "theme" || event.key === null) follow();
  });
})();
