/** The issuer's page, over the merchant's. How it went is asked of Tap, and never believed of a message. */

import { languageOf, wordsIn } from '../shared/words.ts';

const POLL = 2_000;

/** Show `url` until `isOver` says so; resolves to whether the buyer closed it before. */
export async function challenge(url: string, locale: string, isOver: () => Promise<boolean>): Promise<{ closed: boolean }> {
  const words = wordsIn(languageOf(locale, navigator.languages));
  const dialog = document.createElement('dialog');
  dialog.setAttribute('aria-label', words.authenticate);
  Object.assign(dialog.style, {
    position: 'fixed', inset: '0', margin: 'auto', padding: '0', border: '0', borderRadius: '12px', overflow: 'hidden', background: '#fff',
    width: 'min(440px, calc(100vw - 24px))', height: 'min(560px, calc(100vh - 24px))', maxWidth: 'none', maxHeight: 'none',
    boxShadow: '0 15px 60px rgb(0 0 0 / 35%), 0 0 0 100vmax rgb(10 14 30 / 45%)',
  });
  const close = document.createElement('button');
  close.type = 'button';
  close.textContent = '×';
  close.setAttribute('aria-label', words.close);
  Object.assign(close.style, {
    position: 'absolute', top: '8px', insetInlineEnd: '8px', width: '36px', height: '36px', border: '0', borderRadius: '50%',
    background: 'transparent', color: '#697386', font: '24px/36px system-ui, sans-serif', cursor: 'pointer', padding: '0',
  });
  const frame = document.createElement('iframe');
  frame.src = url;
  frame.title = words.authenticate;
  frame.name = 'tap-challenge';
  frame.referrerPolicy = 'no-referrer';
  Object.assign(frame.style, { border: '0', width: '100%', height: '100%', display: 'block', colorScheme: 'normal' });
  dialog.append(frame, close);
  document.body.append(dialog);
  dialog.showModal();
  try {
    return await new Promise((resolve) => {
      let asking = false;
      const look = async (): Promise<void> => {
        if (asking) return;
        asking = true;
        if (await isOver().catch(() => false)) resolve({ closed: false });
        asking = false;
      };
      const timer = setInterval(() => {
        if (dialog.isConnected) void look();
        else clearInterval(timer);
      }, POLL);
      // Whatever page it comes to, its address is nothing that we could read, but that it came to one tells when to ask.
      frame.addEventListener('load', () => void look());
      close.addEventListener('click', () => resolve({ closed: true }));
      dialog.addEventListener('cancel', (event) => {
        event.preventDefault();
        resolve({ closed: true });
      });
    });
  } finally {
    dialog.close();
    dialog.remove();
  }
}
