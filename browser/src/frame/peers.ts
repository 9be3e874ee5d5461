/** The frames beside this one that have the other fields of the same card: of our origin, so that they may look into each other, past the page between them. */

import type { ElementType } from '../shared/protocol.ts';
import type { Field, FieldName } from './fields.ts';
import type { Refusal } from './form.ts';

export interface Peer {
  readonly type: ElementType;
  readonly group: string;
  readonly fields: Map<FieldName, Field>;
  focus(): void;
  refresh(): void;
  validate(): Refusal | undefined;
  /** What the buyer's browser filled in for this frame, in the frame of the number. */
  take(name: FieldName, text: string): void;
}

declare global {
  interface Window {
    /** What this frame shows, to frames of our origin. */
    tapForm?: Peer;
  }
}

const SPLIT: readonly ElementType[] = ['cardNumber', 'cardExpiry', 'cardCvc'];

export function peersOf(own: Peer): Peer[] {
  if (!SPLIT.includes(own.type)) return [];
  const found: Peer[] = [];
  for (let at = 0; at < parent.length; at++) {
    try {
      const other = parent[at]?.tapForm;
      if (other && other !== own && other.group === own.group && SPLIT.includes(other.type)) found.push(other);
    } catch {
      // of another origin
    }
  }
  return found;
}
