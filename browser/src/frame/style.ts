/** How a merchant has the fields look: known properties with values that load nothing, set one by one, so that none can become another. */

import type { Json } from '../shared/api.ts';

const PROPERTIES = new Set(
  (
    'background-color border border-color border-radius border-style border-width border-top border-right border-bottom border-left box-shadow ' +
    'color fill font-family font-feature-settings font-size font-smoothing font-style font-variant font-variation-settings font-weight ' +
    'gap letter-spacing line-height margin margin-top margin-right margin-bottom margin-left opacity outline outline-color outline-offset ' +
    'outline-style outline-width padding padding-top padding-right padding-bottom padding-left text-align text-decoration text-shadow ' +
    'text-transform transition -webkit-font-smoothing -webkit-text-fill-color icon-color icon-style'
  ).split(' '),
);

/** What `style` may say of states. */
export const STATES = [':hover', ':focus', '::placeholder', '::selection', ':-webkit-autofill', ':disabled'] as const;

/** Variables of an appearance, as `frame.css` has them. */
export const VARIABLES = [
  'accordionItemLabelColorText', 'accordionItemLabelFontSize', 'accordionItemLabelFontWeight', 'accordionItemLabelSelectedColorText',
  'accordionItemLabelSelectedFontWeight', 'accordionItemSpacing', 'borderRadius', 'colorBackground', 'colorDanger', 'colorPrimary', 'colorText', 'colorTextPlaceholder',
  'colorTextSecondary', 'focusBoxShadow', 'focusOutline', 'fontFamily', 'fontLineHeight', 'fontSizeBase', 'fontSizeSm', 'fontSmooth', 'fontVariantLigatures',
  'fontVariationSettings', 'fontWeightNormal', 'gridColumnSpacing', 'gridRowSpacing', 'iconCardCvcColor', 'iconCardCvcErrorColor', 'iconCardErrorColor',
  'iconChevronDownColor', 'iconColor', 'inputBoxShadow', 'inputColorBorder', 'inputFocusBoxShadow', 'inputFocusColorBorder', 'labelColorText', 'labelFontSize',
  'labelFontWeight', 'labelSpacing', 'spacingUnit',
] as const;

/** As they were called before. */
export const FORMER_VARIABLES = {
  colorIcon: 'iconColor', colorIconCardCvc: 'iconCardCvcColor', colorIconCardCvcError: 'iconCardCvcErrorColor', colorIconCardError: 'iconCardErrorColor',
  colorIconChevronDown: 'iconChevronDownColor', spacingAccordionItem: 'accordionItemSpacing',
  spacingGridColumn: 'gridColumnSpacing', spacingGridRow: 'gridRowSpacing',
} as const satisfies Record<string, (typeof VARIABLES)[number]>;

const SELECTOR =
  /^\.(?:Input|Label|Error|Block|Tab|TabLabel|CheckboxInput|CheckboxLabel|TermsText|PickerItem|RadioIcon|AccordionItem)(?:--(?:invalid|empty|selected|checked|resting|floating))?(?::(?:hover|focus|focus-visible|active|disabled|autofill)|::(?:placeholder|selection))?$/;

const LENGTH_MAX = 300;

/** Nothing that is fetched, and nothing that escapes. */
export const isPlain = (value: unknown): value is string | number =>
  (typeof value === 'number' && Number.isFinite(value)) ||
  (typeof value === 'string' && value.length <= LENGTH_MAX && !/url|image|src\s*\(|attr\s*\(|expression|[\\;{}@<>]/i.test(value));

const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`).replace(/^(webkit|moz)-/, '-$1-');

export function declarationsOf(style: Json): [string, string][] {
  if (typeof style !== 'object' || style === null) return [];
  return Object.entries(style).flatMap(([name, value]): [string, string][] =>
    PROPERTIES.has(kebab(name)) && isPlain(value) ? [[kebab(name), String(value)]] : [],
  );
}

export function variablesOf(appearance: Json): [string, string][] {
  return Object.entries(appearance?.variables ?? {}).flatMap(([given, value]): [string, string][] => {
    const name = (FORMER_VARIABLES as Record<string, string>)[given] ?? given;
    return (VARIABLES as readonly string[]).includes(name) && isPlain(value) ? [[`--${name}`, String(value)]] : [];
  });
}

/** Selectors of `appearance.rules` and `style`, as the frame's own document has them. */
export function rulesOf(options: Json, appearance: Json): [string, [string, string][]][] {
  const rules: [string, [string, string][]][] = [];
  for (const [variant, selector] of [
    ['base', '.plain'],
    ['empty', '.plain.empty'],
    ['complete', '.plain.complete'],
    ['invalid', '.plain.Input--invalid'],
  ] as const) {
    const style: Json = options?.style?.[variant];
    rules.push([selector, declarationsOf(style)]);
    for (const state of STATES) rules.push([selector + state, declarationsOf(style?.[state])]);
    if (isPlain(style?.iconColor)) rules.push([variant === 'base' ? '.icon' : `.icon.${variant}`, [['color', String(style.iconColor)]]]);
  }
  for (const [selector, style] of Object.entries(appearance?.rules ?? {})) {
    if (SELECTOR.test(selector)) rules.push([selector.replace(':autofill', ':-webkit-autofill'), declarationsOf(style)]);
  }
  return rules.filter(([, declarations]) => declarations.length > 0);
}

/** Put them into a sheet of their own. */
export function applyStyle(sheet: CSSStyleSheet, options: Json, appearance: Json): void {
  while (sheet.cssRules.length > 0) sheet.deleteRule(0);
  const root = document.documentElement;
  root.dataset['theme'] = ['stripe', 'night', 'flat', 'none'].includes(appearance?.theme) ? String(appearance.theme) : 'stripe';
  root.classList.toggle('still', appearance?.disableAnimations === true);
  root.removeAttribute('style');
  for (const [name, value] of variablesOf(appearance)) root.style.setProperty(name, value);
  for (const [selector, declarations] of rulesOf(options, appearance)) {
    const rule = sheet.cssRules[sheet.insertRule(`${selector} {}`, sheet.cssRules.length)] as CSSStyleRule;
    for (const [name, value] of declarations) rule.style.setProperty(name, value);
  }
}
