import { defineConfig } from 'vite';

export default defineConfig({
  base: '/graphiql/',
  build: {
    target: 'es2022',
    // Files instead of data: addresses, and no inline script: the page is served under a
    // strict Content-Security-Policy (schema/browser/explorer.py).
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // The Monaco editor is one chunk of some 3 MB, loaded once and then from the cache.
    chunkSizeWarningLimit: 4000,
    license: { fileName: 'licenses.md' },
    rolldownOptions: {
      onLog(level, log, report) {
        // "use client" in React libraries is for server rendering and says nothing here.
        if (log.code !== 'MODULE_LEVEL_DIRECTIVE') report(level, log);
      },
    },
  },
});
