/** Shows the API's description, and sends what is tried as Tap reads it. */

import { cut, type Described } from './cut.ts';
import { meant } from './form.ts';
import { mended } from './mended.ts';

interface Sent { url: string; body?: unknown; headers: Record<string, string> }
declare const SwaggerUIBundle: (options: Record<string, unknown>) => unknown;

const FORM = 'application/x-www-form-urlencoded';

function sent(request: Sent): Sent {
  if (request.headers['Content-Type'] === FORM && typeof request.body === 'string') request.body = meant(request.body);
  return request;
}

async function show(): Promise<void> {
  const described = await fetch('/docs/openapi.json');
  const root = document.getElementById('docs');
  if (root) mended(root);
  // The server is the one that this comes from: there is nothing to choose.
  const { servers: _, ...spec } = cut((await described.json()) as Described) as Described & { servers?: unknown };
  SwaggerUIBundle({
    spec,
    dom_id: '#docs',
    deepLinking: true,
    defaultModelsExpandDepth: -1,
    defaultModelRendering: 'model',
    displayRequestDuration: true,
    docExpansion: 'none',
    filter: true,
    persistAuthorization: false,
    requestInterceptor: sent,
    showMutatedRequest: true,
    tagsSorter: 'alpha',
    validatorUrl: null,
  });
}

/** In the viewer's own dark colours, where the browser's are dark. */
const dark = matchMedia('(prefers-color-scheme: dark)');
const adapt = (): boolean => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', adapt);
adapt();

void show();
