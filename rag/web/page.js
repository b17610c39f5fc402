// What the page does by itself: passes presses on to the server, opens and closes the abstract, copies, saves files,
// keeps the keyboard's and the reader's place when something is drawn anew, and tells screen readers what goes on.
window.papertrail = (() => {
  const body = document.body;
  let opener = ""; // data-key of what opened the abstract
  let held = ""; // data-key of what has the keyboard, or had it until it was drawn anew

  const question = () => document.querySelector("#pt-question textarea");
  const byKey = (key, root = document) =>
    [...root.querySelectorAll("[data-key]")].find((node) => node.dataset.key === key && node.checkVisibility());

  // Screen readers ------------------------------------------------------------------------------

  const say = (text) => {
    let status = document.getElementById("pt-status");
    if (!status) {
      status = document.createElement("div");
      status.id = "pt-status";
      status.setAttribute("role", "status");
      body.append(status);
    }
    status.textContent = text;
  };

  // Pressing ------------------------------------------------------------------------------------

  const press = (node, names, trigger) => {
    const { do: name, key, ...values } = node.dataset;
    if (name === "copy") return void copy(node);
    if (name === "close") return close();
    if (name === "open" && !node.closest(".pt-page")) opened(node);
    if (name === "turn") node.closest(".pt-pager").parentElement.scrollIntoView({ block: "start" });
    if (name === "rate") rate(node, values);
    if (names.includes(name)) trigger(name, values);
  };

  const copy = async (node) => {
    node.dataset.label ??= node.textContent;
    try {
      await navigator.clipboard.writeText(node.dataset.text);
      node.textContent = "Copied";
    } catch {
      node.textContent = "The browser doesn't allow it";
    }
    say(node.textContent);
    setTimeout(() => (node.textContent = node.dataset.label), 1500);
  };

  const rate = (node, values) => {
    const on = node.getAttribute("aria-pressed") !== "true";
    for (const other of node.parentElement.querySelectorAll("[data-do=rate]")) other.setAttribute("aria-pressed", "false");
    node.setAttribute("aria-pressed", String(on));
    if (!on) values.rating = "";
  };

  // The abstract --------------------------------------------------------------------------------

  const opened = (node) => {
    for (const other of document.querySelectorAll(".pt-pressed")) other.classList.remove("pt-pressed");
    if (node.matches(".pt-cite")) node.classList.add("pt-pressed");
    opener = node.dataset.key;
  };

  const show = (pane) => {
    body.classList.add("pt-open");
    const heading = pane.querySelector("h2");
    heading.focus({ preventScroll: true });
    pane.closest("#pt-pane").scrollTop = 0;
    (pane.querySelector(".pt-current") || heading).scrollIntoView({ block: "nearest" });
  };

  const close = () => {
    if (!body.classList.contains("pt-open")) return;
    body.classList.remove("pt-open");
    for (const node of document.querySelectorAll(".pt-pressed")) node.classList.remove("pt-pressed");
    byKey(opener)?.focus();
  };

  // What was drawn anew -------------------------------------------------------------------------

  // Whatever had the keyboard has it again; the question box, if that is gone.
  const refocus = () => {
    if (held && document.activeElement === body) (byKey(held) || question())?.focus({ preventScroll: true });
  };

  // A question that is being answered comes into sight when it is asked. Its answer is shown from the beginning, unless
  // the reader has gone elsewhere meanwhile.
  const follow = (element, before) => {
    const now = [...element.querySelectorAll(".pt-exchange")];
    if (element.id.startsWith("pt-live") || element.closest("#pt-live")) {
      if (now.length && !before.length) now[0].scrollIntoView({ block: "nearest" });
      watching = now.length ? inSight(now[0]) : watching;
    } else if (now.length > before.length && watching) {
      now.at(-1).scrollIntoView({ block: "start", behavior: "smooth" });
    }
  };
  let watching = true; // whether the question that is being answered is in sight
  const inSight = (node) => {
    const { top, bottom } = node.getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  };

  // element, trigger and watch are those of a gr.HTML component; names are the events that the server listens to.
  const attach = (element, trigger, watch, names) => {
    const open = new Set(); // quotes that were unfolded
    let before = [];
    let told = "";
    element.addEventListener("click", (event) => {
      const node = event.target.closest("[data-do]");
      if (node && element.contains(node)) press(node, names, trigger);
    });
    element.addEventListener(
      "toggle",
      ({ target }) => target.isConnected && open[target.open ? "add" : "delete"](target.dataset.key),
      true,
    );
    watch("value", () => {
      const last = [...element.querySelectorAll("[data-status]")].at(-1)?.dataset.status;
      if (last && last !== told) say(last);
      told = last;
      for (const folded of element.querySelectorAll("details")) if (open.has(folded.dataset.key)) folded.open = true;
      refocus();
      if (element.querySelector(".pt-page")) show(element);
      follow(element, before);
      before = [...element.querySelectorAll(".pt-exchange")];
    });
  };

  const save = ({ name, type, text }) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    say(`Saved ${name}`);
  };

  document.addEventListener("focusin", ({ target }) => {
    held = target.dataset.key || (target.closest("#pt-row") ? "the question" : "");
    if (target === question()) target.dir = "auto";
  });
  document.addEventListener("keydown", ({ key }) => {
    if (key === "Escape") close();
  });

  return { attach, save, close };
})();
