/**
 * Builds what a browser loads. In `js/`: `tap.js`, and the document of the card fields with its script and style in it, which it names by its digest.
 * In `docs/`: the page on the API, and the viewer that it is shown with, as it was released, compressed.
 * The same sources make the same bytes. `node build.mjs DIRECTORY [MODULES]`: where to, and where the packages are.
 */

import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { gzipSync } from 'node:zlib';

const here = import.meta.dirname;
const [, , target, modules = path.join(here, 'node_modules')] = process.argv;
const { build } = createRequire(path.join(path.resolve(modules), 'x.js'))('esbuild');

const bundled = async (entry, define = {}) => {
  const { outputFiles } = await build({
    absWorkingDir: here, entryPoints: [entry], bundle: true, minify: true, write: false, format: 'iife', charset: 'utf8', legalComments: 'none',
    target: ['chrome111', 'firefox113', 'safari16.2'], define, tsconfigRaw: {},
  });
  return outputFiles[0].text.trim();
};

const read = (name) => readFile(path.join(here, 'src/frame', name), 'utf8');
const [template, style, script] = await Promise.all([read('frame.html'), bundled('src/frame/frame.css'), bundled('src/frame/main.ts')]);
const frame = `${template.replace(/>\n+</g, '><').trim().replace('STYLE', () => style).replace('SCRIPT', () => script)}\n`;
const version = createHash('sha256').update(frame).digest('hex').slice(0, 16);
const page = await bundled('src/page/tap.ts', { FRAME_VERSION: JSON.stringify(version) });
const [js, docs] = [path.join(target, 'js'), path.join(target, 'docs')];
await Promise.all([js, docs].map((directory) => mkdir(directory, { recursive: true })));
await writeFile(path.join(js, 'frame.html'), frame);
await writeFile(path.join(js, 'tap.js'), `${page}\n`);

const viewer = (name) => readFile(path.join(modules, 'swagger-ui-dist', name));
// Nothing is loaded for those who look for the sources.
const plain = (text) => text.toString().replace(/\n(\/\/|\/\*)# sourceMappingURL=.*\n?$/, '\n');
const compressed = (text) => gzipSync(text, { level: 9 });
await writeFile(path.join(docs, 'docs.html'), await readFile(path.join(here, 'src/docs/docs.html')));
await writeFile(path.join(docs, 'docs.js'), `${await bundled('src/docs/docs.ts')}\n`);
await writeFile(path.join(docs, 'docs.css'), `${await bundled('src/docs/docs.css')}\n`);
await writeFile(path.join(docs, 'swagger-ui.js.gz'), compressed(plain(await viewer('swagger-ui-bundle.js'))));
await writeFile(path.join(docs, 'swagger-ui.css.gz'), compressed(plain(await viewer('swagger-ui.css'))));
await writeFile(path.join(docs, 'swagger-ui.LICENSE.txt'), (await Promise.all(['NOTICE', 'LICENSE', 'swagger-ui-bundle.js.LICENSE.txt'].map(viewer))).join('\n'));
