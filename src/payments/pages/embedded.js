(() => {
  "use strict";
  if (window.parent === window) return;
  const tell = (message) => window.parent.postMessage({ tap: "checkout", ...message }, "*"); // nothing in it is a secret
  const measure = () => tell({ says: "height", pixels: Math.ceil(document.body.getBoundingClientRect().height) });
  new ResizeObserver(measure).observe(document.body);
  measure();
  const { completes, leadsTo } = document.body.dataset;
  if (completes !== undefined) tell({ says: "complete", leadsTo: leadsTo || null });
})();
