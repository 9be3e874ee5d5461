/** The fields that a buyer types into. */

import { type Brand, brandOf, digitsOf, expiryOf, flawOfCvc, flawOfExpiry, flawOfNumber, formatExpiry, formatNumber, longest, reformatted } from '../shared/cards.ts';
import type { Word, wordsIn } from '../shared/words.ts';

export type Words = ReturnType<typeof wordsIn>;
export type FieldName = 'number' | 'expiry' | 'cvc' | 'zip' | 'country' | 'name' | 'line1' | 'line2' | 'city' | 'state';

/** One input, with what is wrong with it. */
export class Field {
  readonly input: HTMLInputElement | HTMLSelectElement;
  /** The buyer has left it, so that what is wrong with it is told. */
  left = false;
  /** What a new text becomes; the caret stays after as many digits as before it. */
  private readonly format: (text: string, deleting: boolean) => string;

  readonly name: FieldName;
  private readonly check: (text: string) => Word | null;

  constructor(
    name: FieldName,
    input: HTMLInputElement | HTMLSelectElement,
    check: (text: string) => Word | null,
    format: (text: string, deleting: boolean) => string = (text) => text,
  ) {
    this.name = name;
    this.input = input;
    this.check = check;
    this.format = format;
  }

  get text(): string {
    return this.input.value;
  }

  set text(value: string) {
    this.input.value = this.format(value, false);
  }

  get empty(): boolean {
    return this.text.trim() === '';
  }

  get flaw(): Word | null {
    return this.check(this.text);
  }

  /** What is told of it: nothing of a field that the buyer is still filling in, unless it can't become right. */
  get shown(): Word | null {
    const flaw = this.flaw;
    if (flaw === null || (this.empty && !this.left)) return null;
    return flaw.startsWith('incomplete') && !this.left ? null : flaw;
  }

  typed(event: Event): void {
    if (!(this.input instanceof HTMLInputElement)) return;
    const deleting = (event as InputEvent).inputType?.startsWith('delete') === true;
    const { text, caret } = reformatted(this.text, this.input.selectionStart ?? this.text.length, (given) => this.format(given, deleting));
    if (text === this.text) return;
    this.input.value = text;
    if (document.activeElement === this.input) this.input.setSelectionRange(caret, caret);
  }
}

interface Shape {
  autocomplete: string;
  label: Word;
  placeholder: (words: Words) => string;
  numeric: boolean;
  longest: number;
}

const SHAPES: Record<Exclude<FieldName, 'country'>, Shape> = {
  number: { autocomplete: 'cc-number', label: 'number', placeholder: (words) => words.number, numeric: true, longest: 40 },
  expiry: { autocomplete: 'cc-exp', label: 'expiry', placeholder: (words) => words.expiry_placeholder, numeric: true, longest: 10 },
  cvc: { autocomplete: 'cc-csc', label: 'cvc', placeholder: () => 'CVC', numeric: true, longest: 4 },
  zip: { autocomplete: 'postal-code', label: 'zip', placeholder: (words) => words.zip, numeric: false, longest: 12 },
  name: { autocomplete: 'name', label: 'name', placeholder: () => '', numeric: false, longest: 100 },
  line1: { autocomplete: 'address-line1', label: 'line1', placeholder: () => '', numeric: false, longest: 200 },
  line2: { autocomplete: 'address-line2', label: 'line2', placeholder: () => '', numeric: false, longest: 200 },
  city: { autocomplete: 'address-level2', label: 'city', placeholder: () => '', numeric: false, longest: 100 },
  state: { autocomplete: 'address-level1', label: 'state', placeholder: () => '', numeric: false, longest: 100 },
};

function inputFor(name: Exclude<FieldName, 'country'>, words: Words, placeholder: string | undefined): HTMLInputElement {
  const shape = SHAPES[name];
  const input = document.createElement('input');
  Object.assign(input, {
    id: name,
    name: shape.autocomplete,
    type: 'text',
    maxLength: shape.longest,
    spellcheck: false,
    placeholder: placeholder ?? shape.placeholder(words),
    autocapitalize: name === 'name' || name === 'city' ? 'words' : 'none',
  });
  input.setAttribute('autocomplete', shape.autocomplete);
  input.setAttribute('autocorrect', 'off');
  input.setAttribute('aria-label', words[shape.label]);
  input.setAttribute('aria-invalid', 'false');
  if (shape.numeric) {
    input.inputMode = 'numeric';
    input.dir = 'ltr'; // digits run from left to right in every language
  }
  return input;
}

const COUNTRIES =
  'AD AE AF AG AI AL AM AO AQ AR AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CD CF CG CH CI CK CL CM CN CO CR CV CW CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HN HR HT HU ID IE IL IM IN IO IQ IS IT JE JM JO JP KE KG KH KI KM KN KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MK ML MM MN MO MQ MR MS MT MU MV MW MX MY MZ NA NC NE NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PY QA RE RO RS RU RW SA SB SC SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SZ TA TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG US UY UZ VA VC VE VG VN VU WF WS XK YE YT ZA ZM ZW'.split(
    ' ',
  );

/** Where a card's check of the address needs the postal code. */
export const needsPostalCode = (country: string): boolean => ['US', 'CA', 'GB', 'PR'].includes(country);

const WITHOUT_CODES =
  'AE AO AG AW BS BZ BJ BO BW BF BI CM CF KM CG CD CI DJ DM GQ ER FJ TF GM GH GD GN GY HK KE KI MO MW ML MR NR NU PA QA RW KN LC ST SC SL SB SR SY TZ TK TO TT TV UG VU YE ZW'.split(' ');

/** Where letters have one. */
export const hasPostalCodes = (country: string): boolean => !WITHOUT_CODES.includes(country);

/** `allowed`: where the merchant takes addresses, or anywhere. Their names take a browser longer than all else here: they are there a moment later. */
export function countryField(words: Words, language: string, chosen: string, allowed: readonly string[] = []): Field {
  const select = document.createElement('select');
  select.id = select.name = 'country';
  select.setAttribute('autocomplete', 'country');
  select.setAttribute('aria-label', words.country);
  const offered = allowed.length > 0 ? COUNTRIES.filter((code) => allowed.includes(code)) : COUNTRIES;
  const fill = (): void => {
    const names = new Intl.DisplayNames([language], { type: 'region' });
    const { compare } = new Intl.Collator(language);
    const options = offered.map((code) => ({ code, name: names.of(code) ?? code })).sort((a, b) => compare(a.name, b.name));
    select.replaceChildren(...options.map(({ code, name }) => new Option(name, code, false, code === chosen)));
  };
  if (offered.includes(chosen)) {
    select.add(new Option('', chosen, false, true));
    setTimeout(fill);
  } else {
    fill();
  }
  return new Field('country', select, () => null);
}

/**
 * Browsers fill in a card where its number is, and in that document alone: these take what belongs to the fields in other frames, and hand it on. Nobody sees
 * them, comes to them or is read them.
 */
export function filledInFor(hand: (name: FieldName, text: string) => void): HTMLElement[] {
  return (['expiry', 'cvc'] as const).map((name) => {
    const input = document.createElement('input');
    Object.assign(input, { id: `filled-${name}`, name: SHAPES[name].autocomplete, type: 'text', tabIndex: -1, className: 'filled-in' });
    input.setAttribute('autocomplete', SHAPES[name].autocomplete);
    input.setAttribute('aria-hidden', 'true');
    const take = (): void => {
      const text = input.value;
      input.value = '';
      hand(name, text);
    };
    input.addEventListener('input', take);
    input.addEventListener('change', take);
    return input;
  });
}

/** `brand` is that of the number, which may be in another frame. */
export function fieldFor(name: Exclude<FieldName, 'country'>, words: Words, brand: () => Brand, placeholder?: string): Field {
  const input = inputFor(name, words, placeholder);
  switch (name) {
    case 'number':
      return new Field(name, input, flawOfNumber, formatNumber);
    case 'expiry':
      return new Field(name, input, (text) => flawOfExpiry(text, new Date()), formatExpiry);
    case 'cvc':
      return new Field(name, input, (text) => flawOfCvc(text, brand()), (text) => digitsOf(text).slice(0, brand().name === 'unknown' ? 4 : brand().cvc));
    case 'zip':
      return new Field(name, input, (text) => (text.trim().length >= 3 ? null : 'incomplete_zip'), (text) => text.replace(/[^\p{L}\d \-]/gu, '').slice(0, 12));
    case 'line2':
    case 'state':
      return new Field(name, input, () => null);
    default:
      return new Field(name, input, (text) => (text.trim() === '' ? 'incomplete_field' : null));
  }
}

/** A number that can't be longer, or an expiry that is whole: on to the next field. */
export const isFull = (field: Field): boolean => {
  if (field.flaw !== null) return false;
  const digits = digitsOf(field.text);
  if (field.name === 'number') return digits.length === (brandOf(digits).lengths[0] ?? longest(brandOf(digits)));
  return field.name === 'expiry' && expiryOf(field.text) !== null;
};
