/** What a page and the frames in it tell each other, over a port that the page hands to a frame once. */

import type { Access, Json } from './api.ts';

export type ElementType = 'card' | 'cardNumber' | 'cardExpiry' | 'cardCvc' | 'payment' | 'address';

/** The one message to a frame's window; all others go over the port that comes with it. */
export interface Opening {
  tap: 'open';
  type: ElementType;
  /** The fields of one `elements()` know each other by it. */
  group: string;
  settings: Settings;
}

export interface Settings {
  options: Json;
  appearance: Json;
  locale: string;
  direction: 'ltr' | 'rtl';
  fonts: { family: string; source: ArrayBuffer; descriptors: FontFaceDescriptors }[];
  /** The payment method that the intent already has, to be paid with again. */
  saved: Saved | null;
  /** What a customer session lets its customer see and do. */
  kept?: Kept | null;
  /** Who may charge the card later, which its owner is told; none: nobody may. */
  charges?: string | null;
}

export interface Saved {
  id: string;
  brand: string;
  last4: string;
  month: number;
  year: number;
  /** `billing_details`, for the page. */
  billing: Json;
}

export interface Kept {
  cards: Saved[];
  removes: boolean;
  /** Whether a new card may be saved, and what for. */
  saves: boolean;
  usage: string | null;
}

/** From page to frame. A `request` has an answer under the same number. */
export type ToFrame =
  | { does: 'settings'; settings: Settings }
  | { does: 'focus' | 'blur' | 'clear' }
  | { does: 'request'; number: number; request: Request };

export type Request =
  | { what: 'validate' }
  | { what: 'payment_method' | 'token' | 'confirmation_token'; access: Access; params: Json }
  | { what: 'confirm'; access: Access; params: Json; secret: string }
  | { what: 'value' };

/** From frame to page. Nothing here has a card's number, its code or what they begin with beyond the brand. */
export type ToPage =
  | { says: 'ready' | 'focus' | 'blur' | 'escape' | 'enter' }
  | { says: 'change'; change: Json }
  | { says: 'height'; pixels: number }
  | { says: 'remove'; id: string }
  | { says: 'answer'; number: number; answer: Json };
