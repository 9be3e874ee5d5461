/** How the fields of each kind of element are laid out. Elements are made one by one: no text is ever read as markup. */

import type { Saved } from '../shared/protocol.ts';
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

/** The id of a card on file, or a new one. */
export type Choice = string;
export const NEW: Choice = 'new';

export interface Choosing {
  chosen(choice: Choice): void;
  /** Take a card away; none: that isn't for the buyer to do. */
  remove: ((id: string) => void) | undefined;
}

function remover(words: Words, id: string, remove: (id: string) => void): HTMLElement {
  const button = make('button', 'remove', words.remove) as HTMLButtonElement;
  button.type = 'button';
  button.addEventListener('click', (event) => {
    event.preventDefault();
    if (button.textContent === words.really_remove) remove(id);
    else button.textContent = words.really_remove;
  });
  button.addEventListener('blur', () => { button.textContent = words.remove; });
  return button;
}

/** Cards on file, the first of which is chosen at first, or another one. */
export function choices(cards: readonly Saved[], words: Words, form: HTMLElement, { chosen, remove }: Choosing): HTMLElement {
  const root = make('div', 'choices');
  root.setAttribute('role', 'radiogroup');
  root.setAttribute('aria-label', words.card);
  const pick = (choice: Choice): void => {
    form.hidden = choice !== NEW;
    for (const input of root.querySelectorAll('input')) input.closest('label')?.classList.toggle('AccordionItem--selected', input.checked);
    chosen(choice);
  };
  const row = (choice: Choice, checked: boolean, ...children: Children): HTMLElement => {
    const input = document.createElement('input');
    Object.assign(input, { type: 'radio', name: 'choice', value: choice, checked });
    input.addEventListener('change', () => pick(choice));
    return make('label', 'AccordionItem', input, ...children);
  };
  for (const [at, card] of cards.entries()) {
    const expiry = `${String(card.month).padStart(2, '0')}/${String(card.year).slice(-2)}`;
    const chosenRow = row(card.id, at === 0, drawing(card.brand), `•••• ${card.last4}`, make('span', 'expiry', expiry));
    root.append(remove ? make('div', 'removable', chosenRow, remover(words, card.id, remove)) : chosenRow);
  }
  root.append(row(NEW, cards.length === 0, drawing('unknown'), words.another_card));
  pick(cards[0]?.id ?? NEW);
  return root;
}

/** What the buyer agrees to where the card is kept. */
export const terms = (): HTMLElement => make('p', 'TermsText');

/** Whether a new card is saved. */
export function saver(words: Words): { root: HTMLElement; input: HTMLInputElement } {
  const input = document.createElement('input');
  Object.assign(input, { type: 'checkbox', id: 'save', className: 'CheckboxInput' });
  return { root: make('label', 'CheckboxLabel', input, make('span', '', words.save_card)), input };
}
