/** What the viewer leaves out for who can't see it: names of fields, a way into what is scrolled, and buttons with no link in them. WCAG 2.2, 2.1.1 and 4.1.2. */

function mend(root: HTMLElement): void {
  for (const row of root.querySelectorAll<HTMLElement>('tr[data-param-name], tr[data-property-name]')) {
    const name = row.dataset['paramName'] ?? row.dataset['propertyName'] ?? '';
    for (const field of row.querySelectorAll(':is(input, select, textarea):not([aria-label])')) field.setAttribute('aria-label', name);
  }
  for (const select of root.querySelectorAll('.content-type:not([aria-label])')) select.setAttribute('aria-label', 'Media type');
  // What is scrolled is come to by the keyboard, too.
  for (const code of root.querySelectorAll('pre.microlight:not([tabindex])')) code.setAttribute('tabindex', '0');
  // The button does what the link would, and changes the address as well.
  for (const link of root.querySelectorAll('button a[href]')) link.removeAttribute('href');
}

/** Keep on doing so, whatever is opened. */
export function mended(root: HTMLElement): void {
  new MutationObserver(() => mend(root)).observe(root, { childList: true, subtree: true });
}
