/** What one frame shows: its fields, what is told of them to the page, and what is read of them to be sent to Tap. */

import type { Json } from '../shared/api.ts';
import { type Brand, brandOf, digitsOf, expiryOf } from '../shared/cards.ts';
import type { ElementType, Saved, Settings, ToPage } from '../shared/protocol.ts';
import { type Word, languageOf, wordsIn } from '../shared/words.ts';
import { Field, type FieldName, type Words, countryField, fieldFor, filledInFor, hasPostalCodes, isFull, needsPostalCode } from './fields.ts';
import { type Choice, NEW, blocks, choices, drawing, line, make, redraw, saver, terms } from './layout.ts';
import { type Peer, peersOf } from './peers.ts';
import { applyStyle } from './style.ts';

const FIELDS: Record<ElementType, FieldName[]> = {
  card: ['number', 'expiry', 'cvc', 'zip'],
  cardNumber: ['number'],
  cardExpiry: ['expiry'],
  cardCvc: ['cvc'],
  payment: ['name', 'number', 'expiry', 'cvc', 'country', 'zip'],
  address: ['name', 'country', 'line1', 'line2', 'city', 'state', 'zip'],
};
const WIDE = 380;

export interface Refusal {
  type: 'validation_error';
  code: string;
  message: string;
}

export class Form implements Peer {
  readonly group: string;
  readonly type: ElementType;
  readonly fields = new Map<FieldName, Field>();
  private readonly sheet = new CSSStyleSheet();
  private readonly icon = drawing('unknown');
  private readonly tell: (message: ToPage) => void;
  private settings: Settings;
  private words: Words;
  private language: string;
  private choice: Choice = NEW;
  private save: HTMLInputElement | undefined;
  private readonly terms = terms();
  /** The field that the buyer is in. */
  private inside: FieldName | undefined;
  private told = '';
  /** The shape that it has. */
  private built = '';

  constructor(type: ElementType, group: string, settings: Settings, tell: (message: ToPage) => void) {
    this.type = type;
    this.group = group;
    this.tell = tell;
    this.settings = settings;
    this.language = languageOf(settings.locale, navigator.languages);
    this.words = wordsIn(this.language);
    document.adoptedStyleSheets = [this.sheet];
    this.apply(settings);
    new ResizeObserver(() => this.measure()).observe(document.getElementById('form') ?? document.body);
  }

  private get names(): FieldName[] {
    const asked: Json = this.settings.options?.fields?.billingDetails;
    const address: Json = asked?.address;
    const never = (name: string): boolean => [asked, address, address?.[name]].includes('never');
    return FIELDS[this.type].filter((name) => {
      if (this.type === 'card') return name !== 'zip' || this.settings.options?.hidePostalCode !== true;
      if (this.type === 'address') return name !== 'name' || this.settings.options?.fields?.name !== 'never';
      if (this.type !== 'payment') return true;
      if (name === 'name') return asked?.name === 'always';
      return name === 'country' ? !never('country') : name === 'zip' ? !never('postalCode') : true;
    });
  }

  /** What is built of the settings, so that it is built anew when they change it. */
  private get shape(): string {
    const { allowedCountries, hideIcon, placeholder, showIcon } = this.settings.options ?? {};
    return JSON.stringify([this.language, this.names, allowedCountries, hideIcon, placeholder, showIcon]);
  }

  /** Make the fields; what was typed into those that there were stays. */
  private build(): void {
    const { options } = this.settings;
    const before = new Map(this.fields);
    this.fields.clear();
    this.save = undefined;
    const given: Json = this.type === 'address' ? options?.defaultValues : options?.defaultValues?.billingDetails;
    const region = /[-_]([A-Z]{2})\b/.exec(navigator.language)?.[1] ?? 'US';
    for (const name of this.names) {
      const placeholder: unknown = ['cardNumber', 'cardExpiry', 'cardCvc'].includes(this.type) ? options?.placeholder : undefined;
      const field =
        name === 'country'
          ? countryField(this.words, this.language, before.get('country')?.text || String(given?.address?.country ?? region), this.type === 'address' && Array.isArray(options?.allowedCountries) ? options.allowedCountries : [])
          : fieldFor(name, this.words, () => this.brand, typeof placeholder === 'string' ? placeholder : this.placeholderOf(name));
      if (this.type === 'payment' && name === 'name') field.input.setAttribute('autocomplete', 'cc-name'); // it is the card's, beside its number
      this.fields.set(name, field);
      this.listen(field);
    }
    const start: Record<string, unknown> = {
      zip: options?.value?.postalCode ?? given?.address?.postal_code,
      name: given?.name,
      ...(this.type === 'address' ? { ...given?.address, country: undefined } : {}),
    };
    for (const [name, value] of Object.entries(start)) {
      const field = this.fields.get(name as FieldName);
      if (field && typeof value === 'string') field.text = value;
    }
    for (const [name, { text, left }] of before) {
      const field = this.fields.get(name);
      if (field) field.left = left;
      if (field && name !== 'country') field.text = text;
    }
    const root = make('main', this.type === 'payment' || this.type === 'address' ? 'form' : 'form plain-form');
    if (root.classList.contains('plain-form')) {
      const shows = this.type === 'card' ? options?.hideIcon !== true : this.type === 'cardNumber' && options?.showIcon === true;
      root.append(line([...this.fields.values()], shows ? this.icon : null));
      root.addEventListener('mousedown', (event) => {
        if (!(event.target instanceof HTMLInputElement)) { event.preventDefault(); this.focus(); }
      });
    } else {
      const form = blocks(this.fields, this.words, this.icon);
      root.append(form);
      this.offer(root, form);
    }
    if (this.type === 'cardNumber') root.append(...filledInFor((name, text) => { for (const peer of peersOf(this)) peer.take(name, text); }));
    document.getElementById('form')?.replaceChildren(root);
    this.adapt();
  }

  /** The cards that there are already, and whether a new one is to be one of them. */
  private offer(root: HTMLElement, form: HTMLElement): void {
    if (this.type !== 'payment') return;
    const { kept } = this.settings;
    root.querySelector('.choices')?.remove();
    this.choice = NEW;
    form.hidden = false;
    if (kept?.saves && this.save === undefined) {
      const { root: box, input } = saver(this.words);
      this.save = input;
      input.addEventListener('change', () => this.changed());
      form.append(box);
    }
    form.append(this.terms);
    const remove = kept?.removes ? (id: string): void => this.tell({ says: 'remove', id }) : undefined;
    const chosen = (choice: Choice): void => { this.choice = choice; this.changed(); };
    if (this.cards.length > 0) root.prepend(choices(this.cards, this.words, form, { chosen, remove }));
  }

  /** Those that the customer session shows, and the one that the intent has already. */
  private get cards(): Saved[] {
    const { saved, kept } = this.settings;
    const shown = kept?.cards ?? [];
    return saved && !shown.some(({ id }) => id === saved.id) ? [saved, ...shown] : shown;
  }

  /** How a new card is saved, as far as the buyer may say. */
  get saving(): { usage: string | null; redisplay: string } | undefined {
    const { kept } = this.settings;
    if (!kept?.saves || this.choice !== NEW) return undefined;
    return this.save?.checked ? { usage: kept.usage ?? 'off_session', redisplay: 'always' } : { usage: null, redisplay: 'limited' };
  }

  private placeholderOf(name: FieldName): string | undefined {
    if (this.type === 'payment') return name === 'number' ? '1234 1234 1234 1234' : name === 'zip' ? '' : undefined;
    return this.type === 'address' ? '' : undefined;
  }

  /** Take what the page says anew of style, and of what is shown. */
  apply(settings: Settings): void {
    const code: unknown = settings.options?.value?.postalCode;
    const zip = this.fields.get('zip');
    if (zip && typeof code === 'string' && code !== this.settings.options?.value?.postalCode) zip.text = code;
    const before = JSON.stringify(this.cards);
    this.settings = settings;
    this.language = languageOf(settings.locale, navigator.languages);
    this.words = wordsIn(this.language);
    document.documentElement.lang = this.language;
    const { shape } = this;
    const [root, form] = [document.querySelector<HTMLElement>('main'), document.querySelector<HTMLElement>('main > .grid')];
    if (shape !== this.built) this.build();
    else if (root && form && JSON.stringify(this.cards) !== before) this.offer(root, form);
    this.built = shape;
    document.documentElement.dir = settings.direction;
    if (document.fonts.size === 0) for (const font of settings.fonts) document.fonts.add(new FontFace(font.family, font.source, font.descriptors));
    applyStyle(this.sheet, settings.options, settings.appearance);
    this.terms.hidden = !settings.charges;
    this.terms.textContent = this.words.terms.replace('{business}', () => settings.charges ?? '');
    const disabled = settings.options?.disabled === true || settings.options?.readOnly === true;
    for (const field of this.fields.values()) field.input.disabled = disabled;
    this.render();
    this.measure();
  }

  private listen(field: Field): void {
    const { input } = field;
    input.addEventListener('input', (event) => {
      field.typed(event);
      const isTyped = (event as InputEvent).inputType?.startsWith('insert') === true;
      if (field.name === 'number') { const cvc = this.fields.get('cvc'); if (cvc) cvc.text = cvc.text; }
      if (field.name === 'country') this.adapt();
      this.changed();
      if (isTyped && isFull(field)) this.next(field)?.focus();
    });
    input.addEventListener('focus', () => {
      this.go(field.name);
      this.tell({ says: 'focus' });
    });
    input.addEventListener('blur', () => {
      field.left = !field.empty;
      this.go(undefined);
      this.tell({ says: 'blur' });
      this.changed();
    });
    input.addEventListener('keydown', (event) => {
      const { key } = event as KeyboardEvent;
      if (key === 'Escape') this.tell({ says: 'escape' });
      if (key === 'Enter' && input instanceof HTMLInputElement) this.tell({ says: 'enter' });
      if (key === 'Backspace' && field.empty && this.type === 'card') { event.preventDefault(); this.previous(field)?.input.focus(); }
    });
  }

  /** The buyer is in a field now, or in none; of a number beside the others its end is seen. */
  private go(inside: FieldName | undefined): void {
    this.inside = inside;
    this.render();
    const number = this.fields.get('number')?.input;
    if (number && inside !== 'number') number.scrollLeft = this.isNarrow && !this.isNumberAlone ? number.scrollWidth : 0;
  }

  private next(field: Field): { focus(): void } | undefined {
    const all = [...this.fields.values()];
    const after = all[all.indexOf(field) + 1];
    if (after) return after.input;
    const order: ElementType[] = ['cardNumber', 'cardExpiry', 'cardCvc'];
    const wanted = order[order.indexOf(this.type) + 1];
    return order.includes(this.type) ? peersOf(this).find((peer) => peer.type === wanted) : undefined;
  }

  private previous(field: Field): Field | undefined {
    const all = [...this.fields.values()];
    return all[all.indexOf(field) - 1];
  }

  private get isNarrow(): boolean {
    return this.type === 'card' && innerWidth < WIDE;
  }

  /** Whether there is room for the number alone: while the buyer is in it, or until it is right. Whoever goes on to another field sees that. */
  private get isNumberAlone(): boolean {
    return this.isNarrow && (this.inside === undefined ? this.fields.get('number')?.flaw !== null : this.inside === 'number');
  }

  get brand(): Brand {
    const number = this.fields.get('number') ?? peersOf(this).flatMap((peer) => peer.fields.get('number') ?? [])[0];
    return brandOf(digitsOf(number?.text ?? ''));
  }

  /** Show the postal code where it is of use: for a card, where its country has it checked. */
  private adapt(): void {
    const [country, zip] = [this.fields.get('country'), this.fields.get('zip')];
    const box = zip?.input.closest<HTMLElement>('.block');
    const isOfUse = this.type === 'payment' ? needsPostalCode : hasPostalCodes;
    if (zip && box) box.hidden = country !== undefined && !isOfUse(country.text);
  }

  /** The fields that are to be filled in. */
  private get asked(): Field[] {
    if (this.choice !== NEW) return [];
    return [...this.fields.values()].filter((field) => field.input.closest<HTMLElement>('.block')?.hidden !== true);
  }

  private render(): void {
    for (const field of this.fields.values()) {
      const flaw = field.shown;
      const { classList } = field.input;
      classList.toggle('Input--invalid', flaw !== null);
      classList.toggle('empty', field.empty);
      classList.toggle('complete', !field.empty && field.flaw === null);
      field.input.setAttribute('aria-invalid', String(flaw !== null));
      const error = document.getElementById(`${field.name}-error`);
      if (error) error.textContent = flaw === null ? '' : this.words[flaw];
    }
    const flawed = this.asked.some((field) => field.name === 'number' && field.shown !== null);
    redraw(this.icon, this.brand.name);
    this.icon.classList.toggle('invalid', flawed);
    document.body.dataset['brand'] = this.brand.name;
    document.body.classList.toggle('narrow', this.isNarrow);
    document.body.classList.toggle('number-alone', this.isNumberAlone);
  }

  private changed(): void {
    this.render();
    const { asked } = this;
    const flawed = asked.find((field) => field.shown !== null);
    const change: Json = {
      complete: asked.every((field) => field.flaw === null),
      empty: this.choice === NEW && asked.every((field) => field.empty || field.name === 'country'),
      error: this.refusal(flawed),
    };
    if (this.type === 'card' || this.type === 'cardNumber') change.brand = this.brand.name;
    if (this.type === 'card') change.value = { postalCode: this.fields.get('zip')?.text ?? '' };
    if (this.type === 'payment') {
      change.collapsed = false;
      change.value = { type: 'card', ...this.chosen() };
      delete change.error; // it is shown here
    }
    if (this.type === 'address') {
      change.elementMode = this.settings.options?.mode;
      change.isNewAddress = true;
      change.value = this.value();
      delete change.error;
    }
    const text = JSON.stringify(change);
    if (text === this.told) return;
    this.told = text;
    this.tell({ says: 'change', change });
    for (const peer of peersOf(this)) peer.refresh();
  }

  /** What the page may know of what is paid with: a card on file, or where a new one's bill goes. */
  private chosen(): Json {
    const card = this.cards.find(({ id }) => id === this.choice);
    if (card) return { payment_method: { id: card.id, type: 'card', billing_details: card.billing } };
    const { country = null, postal_code: postalCode = null } = this.address();
    return { billingDetails: { address: { country, postalCode } }, ...(this.save ? { savePaymentMethod: this.save.checked } : {}) };
  }

  take(name: FieldName, text: string): void {
    const field = this.fields.get(name);
    if (!field || text === '') return;
    field.text = text;
    this.changed();
  }

  /** What another frame shows may depend on what changed here: how long the code is, by the card's brand. */
  refresh(): void {
    if (this.type === 'cardCvc') this.render();
  }

  private refusal(field: Field | undefined): Refusal | undefined {
    const flaw: Word | null = field?.flaw ?? null;
    return flaw === null ? undefined : { type: 'validation_error', code: flaw, message: this.words[flaw] };
  }

  private measure(): void {
    this.tell({ says: 'height', pixels: Math.ceil(document.getElementById('form')?.getBoundingClientRect().height ?? 0) });
  }

  focus(): void {
    const first = [...this.fields.values()].find((field) => field.flaw !== null) ?? [...this.fields.values()][0];
    first?.input.focus();
  }

  blur(): void {
    (document.activeElement as HTMLElement | null)?.blur();
  }

  clear(): void {
    for (const field of this.fields.values()) {
      if (field.name !== 'country') field.text = '';
      field.left = false;
    }
    this.changed();
  }

  /** Show what is missing, and return the first of it. */
  validate(): Refusal | undefined {
    const { asked } = this;
    for (const field of asked) field.left = true;
    this.changed();
    const flawed = asked.find((field) => field.flaw !== null);
    return this.refusal(flawed);
  }

  get saved(): string | undefined {
    return this.choice === NEW ? undefined : this.choice;
  }

  /** Never called by the page: it goes to Tap. */
  card(): Json {
    const all = [this, ...peersOf(this)];
    const field = (name: FieldName): string => all.flatMap((peer) => peer.fields.get(name) ?? [])[0]?.text ?? '';
    const expiry = expiryOf(field('expiry'));
    const cvc = digitsOf(field('cvc'));
    return { number: digitsOf(field('number')), exp_month: expiry?.month, exp_year: expiry?.year, cvc: cvc === '' ? undefined : cvc };
  }

  /** The buyer's address, as far as it is asked for here. */
  address(): Json {
    const text = (name: FieldName): string | undefined => this.asked.find((field) => field.name === name)?.text.trim() || undefined;
    return { country: text('country'), postal_code: text('zip'), line1: text('line1'), line2: text('line2'), city: text('city'), state: text('state') };
  }

  value(): Json {
    return { name: this.fields.get('name')?.text.trim() ?? '', address: this.address() };
  }
}
