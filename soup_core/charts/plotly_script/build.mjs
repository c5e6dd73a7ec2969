// Writes plotly.min.js: plotly.js with the traces of our charts alone, by the options of plotly's own build
// (esbuild-config.js and CUSTOM_BUNDLE.md of the package plotly.js). `python -m soup_core.charts.plotly_script` runs it.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import esbuild from "esbuild";
import { environmentPlugin } from "esbuild-plugin-environment";
import { glsl } from "esbuild-plugin-glsl";
import InlineCSSPlugin from "esbuild-plugin-inline-css";

const TRACES = ["bar", "contour", "heatmap", "parcoords", "scatter3d", "surface"]; // scatter is in every bundle
const { version } = JSON.parse(readFileSync(new URL("node_modules/plotly.js/package.json", import.meta.url)));

const { outputFiles: [{ text }] } = await esbuild.build({
  stdin: {
    contents: `const Plotly = require("./core"); Plotly.register([${TRACES.map(name => `require("./${name}")`)}]); module.exports = Plotly;`,
    resolveDir: fileURLToPath(new URL("node_modules/plotly.js/lib", import.meta.url)),
  },
  format: "iife",
  globalName: "Plotly",
  bundle: true,
  minify: true,
  write: false,
  plugins: [InlineCSSPlugin(), glsl({ minify: true }), environmentPlugin({ NODE_DEBUG: false })],
  alias: { regl: "@plotly/regl", stream: "stream-browserify" },
  define: { global: "window", "define.amd": "false" },
  target: "es2016",
});
const header = [
  "/**",
  `* plotly.js v${version} (scatter, ${TRACES.join(", ")})`,
  "* Copyright 2012-2026, Plotly, Inc.",
  "* All rights reserved.",
  "* Licensed under the MIT license",
  "*/",
].join("\n");
writeFileSync(new URL("plotly.min.js", import.meta.url), `${header}\n${text}`);
