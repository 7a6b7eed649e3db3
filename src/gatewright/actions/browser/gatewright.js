// Sends each <form method="post" data-action> by script, and shows the answer where the form is. Without this file, all
// of it works as forms do. A form may have [data-error="path"], [data-message] and <progress data-progress hidden>; it
// hears action:submit, action:progress, action:success, action:invalidated and action:error. gatewright, MIT licence.

const waiting = new Map();
let ids = 0;

// A field called "action" hides the form's own property of that name.
const own = (form, name) => Reflect.get(HTMLFormElement.prototype, name, form);
const fields = (form) => [...own(form, "elements")].filter((field) => field.willValidate);

// items[0].name is items.0.name. Browsers from before 2023 cannot read the flag v, and run none of this.
const dotted = (name) => name.split(/[\[\].]+/v).filter(Boolean).join(".");

// What an optimistic update took off the page is heard nevertheless.
const tell = (form, name, detail) =>
  (form.isConnected ? form : document).dispatchEvent(
    new CustomEvent(`action:${name}`, { bubbles: true, cancelable: true, detail }),
  );

function put(place, text) {
  place.textContent = text;
  place.hidden = !text;
}

function clear(form) {
  for (const place of form.querySelectorAll("[data-error], [data-message]")) put(place, "");
  for (const field of own(form, "elements")) field.removeAttribute("aria-invalid");
}

function made(kind, name, value) {
  const place = document.createElement(kind);
  place.setAttribute(name, value);
  return place;
}

function mark(field, place) {
  place.id ||= `error-${++ids}`;
  const by = field.getAttribute("aria-describedby")?.split(" ") ?? [];
  field.setAttribute("aria-describedby", [...new Set(by).add(place.id)].join(" "));
  field.setAttribute("aria-invalid", "true");
}

function report(form, { error, details }) {
  const errors = new Map(Object.entries(details ?? {}));
  const placeOf = (path) => form.querySelector(`[data-error="${CSS.escape(path)}"]`);
  const told = new Set();
  let first;
  // From the end, so that a place is made after the last of several fields, and the first error is found last.
  for (const field of fields(form).reverse()) {
    const name = dotted(field.name);
    // tags.1 is about one of those called tags.
    const paths = [...errors.keys()].filter((path) => name && [path, path.replace(/\.\d+$/, "")].includes(name));
    if (!paths.length) continue;
    let place = placeOf(name);
    if (!place) (field.closest("label") ?? field).after((place = made("span", "data-error", name)));
    put(place, paths.flatMap((path) => errors.get(path)).join("; "));
    mark(field, place);
    paths.forEach((path) => told.add(path));
    first = field;
  }
  let message = error ?? form.dataset.failed ?? "This could not be sent. Please try again.";
  for (const [path, texts] of errors) {
    if (told.has(path)) continue;
    const place = placeOf(path);
    if (place) put(place, texts.join("; "));
    else message += ` ${texts.join("; ")}`;
  }
  let box = form.querySelector("[data-message]");
  if (!box) form.prepend((box = made("p", "data-message", "")));
  box.setAttribute("role", "alert");
  box.tabIndex = -1;
  put(box, message);
  (first ?? box).focus();
}

function renew(form) {
  for (const key of form.querySelectorAll('[name="_once"]'))
    key.value = crypto.getRandomValues(new Uint32Array(4)).join("-");
}

function go(to) {
  const { protocol, href } = new URL(to, document.baseURI);
  // javascript: is no place.
  if (!/^https?:$/.test(protocol)) return;
  location.assign(href);
  // A place in this very page is not loaded by that.
  if (to.includes("#") && href == location.href) location.reload();
}

function send(url, data, progress, done) {
  const xhr = new XMLHttpRequest();
  xhr.open("POST", url);
  xhr.responseType = "json";
  xhr.setRequestHeader("Accept", "application/json");
  xhr.upload.onprogress = progress;
  xhr.onloadend = () => done(xhr);
  xhr.send(data);
}

// As the browser writes it: lines end with CRLF.
const encoded = (data) =>
  new URLSearchParams(`${new URLSearchParams(data)}`.replace(/(%0D)?%0A|%0D/g, "%0D%0A"));

addEventListener("submit", (event) => {
  const { target: form, submitter } = event;
  const said = (name) => submitter?.getAttribute(`form${name}`) ?? own(form, name);
  const url = new URL(said("action"), document.baseURI);
  url.hash = "";
  const ours = form.matches("[data-action]") && /^post$/i.test(said("method")) && !said("target");
  if (event.defaultPrevented || !ours || url.origin != location.origin) return;
  event.preventDefault();
  if (waiting.has(form)) return;

  clear(form);
  const data = new FormData(form, submitter);
  const undo = [];
  const optimistic = (apply) => undo.unshift(apply());
  const rollback = () => undo.forEach((back) => back?.());
  if (!tell(form, "submit", { data, submitter, optimistic })) return rollback();

  const buttons = fields(form).filter((field) => field.type == "submit");
  const bar = form.querySelector("[data-progress]");
  const wait = (on) => {
    form.setAttribute("aria-busy", on);
    for (const button of buttons) button.disabled = on;
    if (bar) Object.assign(bar, { hidden: !on, value: 0 });
    waiting[on ? "set" : "delete"](form, wait);
  };
  const progress = ({ loaded, total }) => {
    if (bar) Object.assign(bar, { max: total, value: loaded });
    tell(form, "progress", { loaded, total });
  };

  const done = ({ status, response, responseURL }) => {
    const answer = { status, ...response };
    const { success = status < 300 && (response || status == 204), redirect, invalidated } = answer;
    if (!success) rollback();
    if (invalidated) tell(form, "invalidated", invalidated);
    const to = success ? tell(form, "success", answer) && redirect : !response && responseURL != url && responseURL;
    if (to) {
      // What is done is not sent again until the page is left. A download leaves it where it is.
      setTimeout(() => waiting.get(form) == wait && wait(false), 5000);
      // A page that is fetched anew for who comes back has another key: what is done must not be filled in there.
      form.setAttribute("autocomplete", "off");
      return go(to);
    }
    wait(false);
    // An answer is kept under its key. After 409, 5xx and none at all, nobody knows what was done: then it is the same.
    if (status && status < 500 && status != 409) renew(form);
    if (!success) {
      report(form, answer);
      tell(form, "error", answer);
    } else if (document.activeElement == document.body) submitter?.focus();
  };
  const files = [...data.values()].some((value) => value instanceof Blob);
  const multipart = files || said("enctype") == "multipart/form-data";

  wait(true);
  send(url, multipart ? data : encoded(data), progress, done);
});

// It may come back from the browser's memory as it was left.
addEventListener("pagehide", () => waiting.forEach((wait) => wait(false)));
