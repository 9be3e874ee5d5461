(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const digits = (text, max) => text.replace(/\D/g, "").slice(0, max);
  const shown = (input, format) => {
    if (!input) return;
    input.addEventListener("input", () => {
      const before = digits(input.value.slice(0, input.selectionStart), 99).length;
      input.value = format(input.value);
      let place = 0;
      for (let seen = 0; place < input.value.length && seen < before; place++) if (/\d/.test(input.value[place])) seen++;
      if (place >= input.value.replace(/\D+$/, "").length) place = input.value.length;
      input.setSelectionRange(place, place);
    });
  };
  shown(byId("number"), (text) => {
    const given = digits(text, 19);
    const groups = /^3[47]/.test(given) ? /^(\d{1,4})(\d{1,6})?(\d{1,5})?/ : null;
    return groups ? (given.match(groups) || []).slice(1).filter(Boolean).join(" ") : given.replace(/(\d{4})(?=\d)/g, "$1 ");
  });
  let expiryBefore = "";
  shown(byId("exp"), (text) => {
    const deleting = text.length < expiryBefore.length;
    let given = digits(text, 6);
    if (/^[2-9]/.test(given)) given = "0" + given;
    if (given.length > 4 && !/^\d{2}20/.test(given)) given = given.slice(0, 4);
    expiryBefore = given.length > 2 || (given.length === 2 && !deleting) ? given.slice(0, 2) + " / " + given.slice(2) : given;
    return expiryBefore;
  });
  shown(byId("cvc"), (text) => digits(text, 4));
  const form = document.querySelector("form");
  const button = form && form.querySelector("button");
  const offline = byId("offline");
  let sent = false;
  if (form) form.addEventListener("submit", (event) => {
    // The browser's own page would lose what was typed. Who presses again knows better, as on a machine that is Tap's own.
    const warns = !navigator.onLine && offline.hidden;
    if (warns) offline.hidden = false;
    if (sent || warns) { event.preventDefault(); return; }
    sent = true;
    button.setAttribute("aria-disabled", "true");
    button.classList.add("busy");
  });
  window.addEventListener("online", () => { offline.hidden = true; });
  window.addEventListener("pageshow", () => {
    sent = false;
    if (button) { button.removeAttribute("aria-disabled"); button.classList.remove("busy"); }
  });
  const first = document.querySelector("[aria-invalid]");
  if (first) first.focus();
  const details = document.querySelector("details");
  if (details && window.matchMedia("(max-width: 767px)").matches) details.open = false;
})();
