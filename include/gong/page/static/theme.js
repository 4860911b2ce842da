// Follows Airflow's light or dark theme, which is in localStorage under "theme"; other frames get a storage event.
(() => {
  const root = document.documentElement;
  const follow = () => {
    let chosen = null;
    try {
      chosen = localStorage.getItem("theme");
    } catch {
      // No localStorage: follow the system's theme.
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
