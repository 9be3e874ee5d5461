/**
 * Builds what a browser loads: `tap.js`, and the document of the card fields with its script and style in it, which it names by its digest.
 * The same sources make the same bytes. `node build.mjs DIRECTORY [MODULES]`: where to, and where esbuild is.
 */

import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';

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
await mkdir(target, { recursive: true });
await writeFile(path.join(target, 'frame.html'), frame);
await writeFile(path.join(target, 'tap.js'), `${page}\n`);
