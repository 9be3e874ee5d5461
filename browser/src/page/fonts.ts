/** A merchant's own fonts: its page reads them and hands them over as bytes, so that the frames load nothing from anywhere. */

import type { Json } from '../shared/api.ts';
import type { Settings } from '../shared/protocol.ts';
import { refuse } from './errors.ts';

type Fonts = Settings['fonts'];

const DESCRIPTORS = { style: 'style', weight: 'weight', unicodeRange: 'unicodeRange', stretch: 'stretch', display: 'display' } as const;
const FONTS_MAX = 12;

const addressIn = (source: string): string | undefined => /url\(\s*(['"]?)(.*?)\1\s*\)/.exec(source)?.[2];

async function bytesOf(family: string, source: string, base: string, descriptors: FontFaceDescriptors): Promise<Fonts> {
  const address = addressIn(source);
  if (address === undefined) return refuse(`The font ${family} has no url() in its src.`);
  const response = await fetch(new URL(address, base), { credentials: 'omit' });
  return response.ok ? [{ family: family.replace(/^['"]|['"]$/g, ''), source: await response.arrayBuffer(), descriptors }] : [];
}

async function fromSheet(address: string): Promise<Fonts> {
  const url = new URL(address, document.baseURI);
  const sheet = new CSSStyleSheet();
  await sheet.replace(await (await fetch(url, { credentials: 'omit' })).text());
  const faces = [...sheet.cssRules].filter((rule): rule is CSSFontFaceRule => rule instanceof CSSFontFaceRule).slice(0, FONTS_MAX);
  const found = faces.map(async ({ style }) => {
    const said = (name: string): string => style.getPropertyValue(name);
    const given = { style: said('font-style'), weight: said('font-weight'), unicodeRange: said('unicode-range'), stretch: said('font-stretch') };
    const descriptors = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== ''));
    return bytesOf(said('font-family'), said('src'), url.href, descriptors);
  });
  return (await Promise.all(found)).flat();
}

/** Those that can be read; a font that can't isn't worth a payment. */
export async function readFonts(fonts: Json): Promise<Fonts> {
  if (!Array.isArray(fonts)) return [];
  const found = fonts.slice(0, FONTS_MAX).map(async (font: Json): Promise<Fonts> => {
    if (typeof font.cssSrc === 'string') return fromSheet(font.cssSrc);
    const descriptors = Object.fromEntries(Object.entries(DESCRIPTORS).flatMap(([from, to]) => (typeof font[from] === 'string' ? [[to, font[from]]] : [])));
    return bytesOf(String(font.family), String(font.src), document.baseURI, descriptors);
  });
  const settled = await Promise.allSettled(found);
  for (const each of settled) if (each.status === 'rejected') console.warn('A font for the card fields could not be read:', each.reason);
  return settled.flatMap((each) => (each.status === 'fulfilled' ? each.value : []));
}
