/** How the fields of each kind of element are laid out. Elements are made one by one: no text is ever read as markup. */

import type { Settings } from '../shared/protocol.ts';
import type { Field, FieldName, Words } from './fields.ts';

type Children = (Node | string)[];

export function make(tag: string, className: string, ...children: Children): HTMLElement {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...children);
  return element;
}

const SVG = 'http://www.w3.org/2000/svg';

/** A drawing of the document's own, by its id. */
export function drawing(name: string, className = 'icon'): SVGSVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', className);
  svg.setAttribute('viewBox', '0 0 32 21');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#draw-${name}`);
  svg.append(use);
  return svg;
}

export function redraw(svg: SVGSVGElement, name: string): void {
  svg.firstElementChild?.setAttribute('href', `#draw-${name}`);
}

/** One line, as wide as the merchant's container. */
export function line(fields: Field[], icon: SVGSVGElement | null): HTMLElement {
  const root = make('div', 'line');
  if (icon) root.append(icon);
  for (const field of fields) {
    field.input.classList.add('plain', `plain-${field.name}`);
    root.append(field.input);
  }
  return root;
}

function block(field: Field, label: string, ...beside: Children): HTMLElement {
  const words = make('label', 'Label', label) as HTMLLabelElement;
  words.htmlFor = field.input.id;
  field.input.classList.add('Input');
  field.input.removeAttribute('aria-label'); // it has a label that is seen
  const error = make('div', 'Error');
  error.id = `${field.name}-error`;
  error.setAttribute('role', 'alert');
  field.input.setAttribute('aria-describedby', error.id);
  return make('div', `block block-${field.name}`, words, make('div', 'box', field.input, ...beside), error);
}

const BRANDS = ['visa', 'mastercard', 'amex', 'discover'];

/** Labels above their fields; number, then expiry and code beside each other. */
export function blocks(fields: Map<FieldName, Field>, words: Words, brands: SVGSVGElement): HTMLElement {
  const grid = make('div', 'grid');
  for (const [name, field] of fields) {
    if (name === 'number') {
      const all = make('span', 'brands', ...BRANDS.map((brand) => drawing(brand)));
      grid.append(block(field, words.number, all, brands));
    } else if (name === 'cvc') {
      grid.append(block(field, words.cvc, drawing('cvc')));
    } else {
      grid.append(block(field, words[name]));
    }
  }
  return grid;
}

export type Choice = 'saved' | 'new';

/** The card that the intent already has, or another one. */
export function choices(saved: NonNullable<Settings['saved']>, words: Words, form: HTMLElement, chosen: (choice: Choice) => void): HTMLElement {
  const root = make('div', 'choices');
  const pick = (choice: Choice): void => {
    form.hidden = choice === 'saved';
    for (const input of root.querySelectorAll('input')) input.closest('label')?.classList.toggle('AccordionItem--selected', input.checked);
    chosen(choice);
  };
  const expiry = `${String(saved.month).padStart(2, '0')}/${String(saved.year).slice(-2)}`;
  const rows: [Choice, Children][] = [
    ['saved', [drawing(saved.brand), `•••• ${saved.last4}`, make('span', 'expiry', expiry)]],
    ['new', [drawing('unknown'), words.another_card]],
  ];
  for (const [choice, children] of rows) {
    const input = document.createElement('input');
    Object.assign(input, { type: 'radio', name: 'choice', value: choice, checked: choice === 'saved' });
    input.addEventListener('change', () => pick(choice));
    root.append(make('label', 'AccordionItem', input, ...children));
  }
  pick('saved');
  return root;
}
