// What the page does by itself: passes presses on to the server, opens and closes the abstract, copies, saves files,
// keeps the keyboard's place when something is drawn anew, and tells screen readers what is going on.
window.papertrail = (() => {
  const body = document.body;
  let pressed = ""; // data-key of what was pressed last
  let opener = ""; // data-key of what opened the abstract

  const byKey = (key, root = document) =>
    key ? [...root.querySelectorAll("[data-key]")].find((node) => node.dataset.key === key && node.checkVisibility()) : undefined;

  const say = (text) => {
    let status = document.getElementById("pt-status");
    if (!status) {
      status = document.createElement("div");
      status.id = "pt-status";
      status.setAttribute("role", "status");
      body.append(status);
    }
    if (text && status.textContent !== text) status.textContent = text;
  };

  const copy = async (button) => {
    const label = button.textContent;
    try {
      await navigator.clipboard.writeText(button.dataset.text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "The browser doesn't allow it";
    }
    say(button.textContent);
    setTimeout(() => (button.textContent = label), 1500);
  };

  const close = () => {
    if (!body.classList.contains("pt-open")) return;
    body.classList.remove("pt-open");
    byKey(opener)?.focus();
  };

  const press = (node, names, trigger) => {
    const { do: name, key, ...values } = node.dataset;
    pressed = key;
    if (name === "copy") return void copy(node);
    if (name === "close") return close();
    if (name === "open" && !node.closest(".pt-page")) opener = key;
    if (name === "rate") rate(node, values);
    if (names.includes(name)) trigger(name, values);
  };

  const rate = (node, values) => {
    const on = node.getAttribute("aria-pressed") !== "true";
    for (const other of node.parentElement.querySelectorAll("[data-do=rate]")) other.setAttribute("aria-pressed", "false");
    node.setAttribute("aria-pressed", String(on));
    if (!on) values.rating = "";
    say(on ? "Kept on this machine" : "Taken back");
  };

  // element, trigger and watch are those of a gr.HTML component; names are the events that the server listens to.
  const attach = (element, trigger, watch, names) => {
    element.addEventListener("click", (event) => {
      const node = event.target.closest("[data-do]");
      if (node && element.contains(node)) press(node, names, trigger);
    });
    watch("value", () => {
      const told = [...element.querySelectorAll("[data-status]")].at(-1);
      if (told) say(told.dataset.status);
      if (document.activeElement === body) byKey(pressed, element)?.focus({ preventScroll: true });
      if (element.querySelector(".pt-page")) show(element);
      if (element.querySelector(".pt-exchange")) follow(element);
    });
  };

  // A new abstract: scrolled to the words that were asked for.
  const show = (element) => {
    body.classList.add("pt-open");
    const page = element.querySelector(".pt-page");
    page.querySelector("h2").focus({ preventScroll: true });
    const quote = page.querySelector(".pt-current") || page.querySelector("h2");
    element.scrollTop = 0;
    quote.scrollIntoView({ block: "nearest" });
  };

  // A question that is being answered stays in sight; a finished one is shown from its beginning.
  let count = 0;
  const follow = (element) => {
    const all = element.querySelectorAll(".pt-exchange");
    if (element.querySelector(".pt-stage")) {
      const near = innerHeight + scrollY > document.documentElement.scrollHeight - 400;
      if (near || !element.dataset.following) all[0].scrollIntoView({ block: "nearest" });
      element.dataset.following = "yes";
    } else if (all.length !== count) {
      count = all.length;
      all[count - 1].scrollIntoView({ block: "start", behavior: "smooth" });
    }
  };

  const save = ({ name, type, text }) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    say(`Saved ${name}`);
  };

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
  });

  return { attach, save, close };
})();
