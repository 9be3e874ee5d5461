/** What is known of a card by its number, how it is written, and what is wrong with it. Sources: ISO/IEC 7812 (Luhn's check), the schemes' BIN ranges. */

export interface Brand {
  readonly name: 'visa' | 'mastercard' | 'amex' | 'discover' | 'diners' | 'jcb' | 'unionpay' | 'unknown';
  readonly begins: RegExp;
  readonly lengths: readonly number[];
  /** After how many digits there is a gap. */
  readonly gaps: readonly number[];
  readonly cvc: number;
}

const GAPS = [4, 8, 12, 16];
const UNKNOWN: Brand = { name: 'unknown', begins: /^/, lengths: [16], gaps: GAPS, cvc: 3 };

/** The first that fits: what a range is within comes before it. */
const BRANDS: readonly Brand[] = [
  { name: 'amex', begins: /^3[47]/, lengths: [15], gaps: [4, 10], cvc: 4 },
  { name: 'diners', begins: /^3(?:0[0-5]|095|[689])/, lengths: [14, 16], gaps: [4, 10], cvc: 3 },
  { name: 'jcb', begins: /^(?:352[89]|35[3-8])/, lengths: [16], gaps: GAPS, cvc: 3 },
  { name: 'discover', begins: /^(?:6011|64[4-9]|65|6221(?:2[6-9]|[3-9])|622[2-8]|6229(?:[01]|2[0-5]))/, lengths: [16], gaps: GAPS, cvc: 3 },
  { name: 'unionpay', begins: /^(?:62|81)/, lengths: [16, 17, 18, 19], gaps: GAPS, cvc: 3 },
  { name: 'mastercard', begins: /^(?:5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)/, lengths: [16], gaps: GAPS, cvc: 3 },
  { name: 'visa', begins: /^4/, lengths: [16, 13, 19], gaps: GAPS, cvc: 3 },
];

export type Flaw =
  | 'incomplete_number'
  | 'invalid_number'
  | 'incomplete_expiry'
  | 'invalid_expiry_month_past'
  | 'invalid_expiry_year_past'
  | 'invalid_expiry_year'
  | 'incomplete_cvc'
  | 'incomplete_zip';

export const digitsOf = (text: string): string =>
  text.replace(/[٠-٩۰-۹０-９]/g, (digit) => String(digit.charCodeAt(0) & 0xf)).replace(/\D/g, '');

export const brandOf = (digits: string): Brand => BRANDS.find((brand) => digits !== '' && brand.begins.test(digits)) ?? UNKNOWN;

export const longest = (brand: Brand): number => Math.max(...brand.lengths);

/** Of a Diners card of 14 digits 4-6-4, of others as their scheme prints them. */
export function formatNumber(text: string): string {
  const all = digitsOf(text);
  const brand = brandOf(all);
  const digits = all.slice(0, longest(brand));
  const gaps = brand.name === 'diners' && digits.length > 14 ? GAPS : brand.gaps;
  return [...digits].map((digit, at) => (gaps.includes(at) ? ` ${digit}` : digit)).join('');
}

export function passesLuhn(digits: string): boolean {
  let sum = 0;
  for (let at = 0; at < digits.length; at++) {
    const digit = Number(digits[digits.length - 1 - at]);
    const weighed = at % 2 ? digit * 2 : digit;
    sum += weighed > 9 ? weighed - 9 : weighed;
  }
  return digits.length > 0 && sum % 10 === 0;
}

export function flawOfNumber(text: string): Flaw | null {
  const digits = digitsOf(text);
  const { lengths } = brandOf(digits);
  if (lengths.includes(digits.length)) return passesLuhn(digits) ? null : 'invalid_number';
  return digits.length >= Math.max(...lengths) ? 'invalid_number' : 'incomplete_number';
}

/** `1` may become `12`, `2` can only be `02`. A slash, or a year of four digits, as browsers fill in, is taken. */
export function formatExpiry(text: string, deleting = false): string {
  const slashed = /^\s*(\d)\s*[/\-.]/.exec(text);
  let digits = digitsOf(slashed ? `0${text.trim()}` : text);
  if (/^[2-9]/.test(digits)) digits = `0${digits}`;
  if (digits.length === 6 && digits.slice(2, 4) === '20') digits = digits.slice(0, 2) + digits.slice(4);
  const month = digits.slice(0, 2);
  const year = digits.slice(2, 4);
  if (month.length < 2 || (deleting && year === '')) return month;
  return `${month} / ${year}`;
}

/** Month and year, in four digits, of what is complete. */
export function expiryOf(text: string): { month: number; year: number } | null {
  const digits = digitsOf(text);
  return digits.length === 4 ? { month: Number(digits.slice(0, 2)), year: 2000 + Number(digits.slice(2)) } : null;
}

export function flawOfExpiry(text: string, today: Date): Flaw | null {
  const expiry = expiryOf(text);
  const month = Number(digitsOf(text).slice(0, 2));
  if (digitsOf(text).length >= 2 && (month < 1 || month > 12)) return 'invalid_expiry_month_past';
  if (expiry === null) return 'incomplete_expiry';
  const [year, now] = [today.getFullYear(), today.getMonth() + 1];
  if (expiry.year < year) return 'invalid_expiry_year_past';
  if (expiry.year === year && expiry.month < now) return 'invalid_expiry_month_past';
  return expiry.year > year + 50 ? 'invalid_expiry_year' : null;
}

export const flawOfCvc = (text: string, brand: Brand): Flaw | null => {
  const { length } = digitsOf(text);
  return length === brand.cvc || (brand.name === 'unknown' && length === 4) ? null : 'incomplete_cvc';
};

/** A field's text as it is shown, and where the caret is in it: after as many digits as it was. */
export function reformatted(text: string, caret: number, format: (text: string) => string): { text: string; caret: number } {
  const before = digitsOf(text.slice(0, caret)).length;
  const shown = format(text);
  if (caret >= text.length) return { text: shown, caret: shown.length };
  let at = 0;
  for (let seen = 0; at < shown.length && seen < before; at++) if (/\d/.test(shown.charAt(at))) seen++;
  return { text: shown, caret: at };
}
