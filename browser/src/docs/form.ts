/**
 * The viewer sends all fields of a form, those that nobody filled in as well. Here they aren't sent; `""` is sent as the empty string, which unsets something.
 * Metadata is typed as JSON, since its keys are the merchant's own. Tap reads brackets, as Stripe does.
 */

const EMPTY = '""';
const METADATA = /(^|\[)metadata\]?$/;

/** Writes a form as it is meant. */
export function meant(form: string): string {
  const pairs = [...new URLSearchParams(form)].filter(([, value]) => value !== '').flatMap(([name, value]) => {
    if (value === EMPTY) return [[name, '']];
    const given = METADATA.test(name) ? parsed(value) : undefined;
    return given === undefined ? [[name, value]] : Object.entries(given).map(([key, each]) => [`${name}[${key}]`, typeof each === 'string' ? each : JSON.stringify(each)]);
  });
  return new URLSearchParams(pairs).toString();
}

/** A hash, if that is what a text is. */
function parsed(text: string): Record<string, unknown> | undefined {
  if (!text.trimStart().startsWith('{')) return undefined;
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
