// Keys, and pages that go on by themselves. All of the viewer works without this script.

const help = document.getElementById("help");
const rows = [...document.querySelectorAll("a.row")];

const follow = (selector) => document.querySelector(selector)?.click();

function step(by) {
  if (!rows.length) return follow(by > 0 ? 'a[rel="next"]' : 'a[rel="prev"]');
  const at = rows.indexOf(document.activeElement);
  const next = at < 0 ? (by > 0 ? 0 : rows.length - 1) : at + by;
  if (next >= rows.length) return follow('a[rel="next"]');
  if (next < 0) return follow('a[rel="prev"]');
  rows[next].focus();
}

const toggle = () => (help.open ? help.close() : help.showModal());

const keys = {
  j: () => step(1),
  k: () => step(-1),
  n: () => follow('a[rel="next"]'),
  p: () => follow('a[rel="prev"]'),
  u: () => follow("a.up"),
  "/": () => document.querySelector("[data-search]")?.focus(),
  "?": toggle,
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, textarea, select");
  if (event.key === "Escape" && typing) event.target.blur();
  const button = document.querySelector(`button[data-key="${CSS.escape(event.key)}"]`);
  if (button && !typing && !event.ctrlKey && !event.metaKey && !event.altKey && !help.open) {
    event.preventDefault();
    return button.click();
  }
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
  if (help.open && event.key !== "?") return;
  event.preventDefault();
  keys[event.key]();
});

document.getElementById("help-button").addEventListener("click", toggle);

const reload = document.querySelector("[data-reload]");
if (reload) setTimeout(() => location.reload(), Number(reload.dataset.reload));

const goOn = document.querySelector("a[data-continue]");
if (goOn) location.replace(goOn.href);
