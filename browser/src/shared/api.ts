/** Calls of Tap's API: Stripe's form encoding, and repetitions that never do a thing twice. */

// An object of the API's, or what a merchant's page gives us: neither is known before it is looked at.
export type Json = any;

export interface Access {
  /** A publishable key. */
  key: string;
  account?: string | undefined;
  version?: string | undefined;
}

export interface Answer {
  status: number;
  body: Json;
}

/** What a test gives instead. */
export interface Tools {
  fetch?: typeof fetch;
  pause?: (milliseconds: number) => Promise<void>;
}

const TRIES = 5;
const FIRST_PAUSE = 400;
/** Longer than Tap takes to say `processing`: a connection that is silent for so long is dead. */
const SILENCE = 60_000;

/** Hashes and lists in brackets; what is undefined isn't sent, null unsets. */
export function encodeForm(value: Json, name = ''): string[] {
  if (value === undefined) return [];
  if (value === null) return [`${encodeURIComponent(name)}=`];
  if (typeof value !== 'object') return [`${encodeURIComponent(name)}=${encodeURIComponent(String(value))}`];
  return Object.entries(value).flatMap(([key, each]) => encodeForm(each, name ? `${name}[${key}]` : key));
}

/** 128 bits; `randomUUID` is only there in secure contexts. */
export function randomId(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

const wait = async (milliseconds: number): Promise<void> => {
  await new Promise<void>((resolve) => {
    const go = (): void => {
      clearTimeout(timer);
      removeEventListener('online', go);
      resolve();
    };
    const timer = setTimeout(go, milliseconds);
    addEventListener('online', go); // back on the network: at once
  });
};

/**
 * A POST is repeated under one idempotency key: whatever became of the first, it is done once. Rejects with `TypeError` only after the last try.
 */
export async function call(
  base: string,
  method: 'GET' | 'POST',
  path: string,
  params: Json,
  access: Access,
  { fetch: send = fetch.bind(globalThis), pause = wait }: Tools = {},
): Promise<Answer> {
  const form = encodeForm(params).join('&');
  const headers: Record<string, string> = { Authorization: `Bearer ${access.key}` };
  if (access.account) headers['Stripe-Account'] = access.account;
  if (access.version) headers['Stripe-Version'] = access.version;
  if (method === 'POST') {
    headers['Content-Type'] = 'application/x-www-form-urlencoded';
    headers['Idempotency-Key'] = randomId();
  }
  const url = `${base}${path}${method === 'GET' && form ? `?${form}` : ''}`;
  for (let tried = 1; ; tried++) {
    try {
      const response = await send(url, {
        method,
        headers,
        body: method === 'POST' ? form : null,
        mode: 'cors',
        credentials: 'omit',
        cache: 'no-store',
        referrerPolicy: 'no-referrer',
        signal: AbortSignal.timeout(SILENCE),
      });
      const body: Json = await response.json();
      const again = response.status === 409 || response.status >= 500 || response.headers.get('Stripe-Should-Retry') === 'true';
      if (tried === TRIES || !again || response.headers.get('Stripe-Should-Retry') === 'false') return { status: response.status, body };
    } catch (failure) {
      if (tried === TRIES) throw failure;
    }
    await pause(FIRST_PAUSE * 2 ** (tried - 1));
  }
}

/** `pi_1_secret_2` names `pi_1`. */
export const idOfSecret = (secret: string): string => secret.slice(0, secret.indexOf('_secret_'));

export const pathOfIntent = (id: string): string => `/v1/${id.startsWith('seti_') ? 'setup' : 'payment'}_intents/${encodeURIComponent(id)}`;

/** Whether nothing has been tried with an intent, or nothing came of it. */
export const isUndone = (intent: Json): boolean => ['requires_payment_method', 'requires_confirmation'].includes(intent.status);

/** What an intent's confirmation came to: its answer, or, where none came, what has become of the intent meanwhile. */
export async function confirm(base: string, secret: string, params: Json, access: Access, tools?: Tools): Promise<Answer> {
  const path = pathOfIntent(idOfSecret(secret));
  let answer: Answer | undefined;
  let lost: unknown;
  try {
    answer = await call(base, 'POST', `${path}/confirm`, { ...params, client_secret: secret }, access, tools);
    if (answer.status < 500 && ![409, 429].includes(answer.status)) return answer; // those say that somebody is at it
  } catch (failure) {
    lost = failure;
  }
  const now = await call(base, 'GET', path, { client_secret: secret }, access, tools);
  if (now.status === 200 && !isUndone(now.body)) return now;
  if (answer) return answer;
  throw lost;
}
