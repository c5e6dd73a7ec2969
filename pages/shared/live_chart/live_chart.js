// Draws a Plotly figure into a node that stays, so that zoom, camera and legend outlive every rerun. A box or a lasso is
// reported and then forgotten: what is selected is for the figure to show.

const CONFIG = { displaylogo: false, displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: false };
const SELECTING = { ...CONFIG, displayModeBar: true, modeBarButtons: [["select2d", "lasso2d", "zoom2d", "pan2d", "resetScale2d"]] };
const TABLE_ROWS = 500;
const BESIDE_DRAWING = 170; // pixels above and below a drawing of fixed proportions
const GREY = "#808080";
const KEPT = 3; // figures of a chart, as sending.py keeps them
const STYLE = `
.live-chart { color: var(--st-text-color); transition: color 1ms; font-family: var(--st-font); }
.live-chart .wide { overflow-x: auto; }
.live-chart .parcoords .axis path, .live-chart .parcoords .axis line { stroke: var(--st-text-color) !important; }
.live-chart .told { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.live-chart .beneath { display: flex; align-items: flex-start; font-size: 0.8rem; opacity: 0.75; }
.live-chart details { flex: 1; min-width: 0; }
.live-chart .save button { background: none; border: 0; padding: 0 0.4rem; color: inherit; font: inherit; cursor: pointer; }
.live-chart .save button:is(:hover, :focus-visible) { text-decoration: underline; }
.live-chart summary { cursor: pointer; width: max-content; }
.live-chart .cells { max-height: 16rem; overflow: auto; }
.live-chart table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.live-chart th, .live-chart td { text-align: left; padding: 0.1rem 0.8rem 0.1rem 0; }
`;

// Figures by their charts and versions; what changes is sent as changes of one of these.
const kept = (window.soupFigures ??= new Map());

function known(chart, version) {
  return kept.get(chart)?.get(version);
}

function keep(chart, version, figure) {
  const figures = kept.get(chart) ?? new Map();
  kept.set(chart, figures.set(version, figure));
  if (figures.size > KEPT) figures.delete(figures.keys().next().value);
}

// What patches.py says has changed; what has not is the same object as before, so that plotly sees that too.
function patched(value, changes) {
  if (Array.isArray(changes)) {
    if (changes.length === 1) return changes[0];
    const [start, removed, values] = changes;
    return [...value.slice(0, start), ...values, ...value.slice(start + removed)];
  }
  const copy = Array.isArray(value) ? [...value] : { ...value };
  for (const [key, inner] of Object.entries(changes)) {
    if (Array.isArray(inner) && !inner.length) delete copy[key];
    else copy[key] = patched(copy[key], inner);
  }
  return copy;
}

// Plotly writes into what it draws, but not into lists of values.
function cloned(value) {
  if (Array.isArray(value)) return value.some(each => each && typeof each === "object" && !Array.isArray(each)) ? value.map(cloned) : value;
  if (!value || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, cloned(each)]));
}

function loadedPlotly(address) {
  window.soupPlotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => { delete window.soupPlotly; reject(new Error(`${address} could not be loaded`)); };
    document.head.append(script);
  });
  return window.soupPlotly;
}

function themed(layout, holder) {
  const style = getComputedStyle(holder);
  const variable = name => style.getPropertyValue(name).trim();
  const text = style.color, panel = variable("--st-secondary-background-color") || "white";
  const font = { ...layout.template?.layout?.font, ...layout.font, color: text };
  const hoverlabel = { ...layout.hoverlabel, bgcolor: panel, bordercolor: text, font: { ...font, size: 13 } };
  const modebar = { bgcolor: "transparent", color: variable("--st-gray-color") || "grey", activecolor: text };
  return { ...layout, font, hoverlabel, modebar };
}

// Lines of parallel coordinates have no opacity: grey ones are mixed with the page's colour here. Axes stay where they
// were dragged.
function arranged(trace, graph, holder) {
  if (trace.type !== "parcoords") return trace;
  const page = getComputedStyle(holder).getPropertyValue("--st-background-color").match(/[0-9a-f]{2}/gi) ?? [];
  const faint = page.length === 3 ? `rgb(${page.map(part => Math.round(0.75 * parseInt(part, 16) + 32))})` : GREY;
  const colorscale = trace.line?.colorscale?.map(([at, colour]) => [at, colour === GREY ? faint : colour]);
  const order = graph.data?.[0]?.dimensions?.map(({ name }) => name) ?? [];
  const dimensions = trace.dimensions.toSorted((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  return { ...trace, dimensions, line: { ...trace.line, colorscale } };
}

function described(point) {
  const { x, y, z, customdata, curveNumber, pointNumber, pointIndex } = point;
  return { x, y, z, customdata: customdata ?? null, curve: curveNumber, point: pointNumber ?? pointIndex ?? null };
}

function brushed(graph) {
  const dimensions = graph.data.find(trace => trace.type === "parcoords")?.dimensions ?? [];
  return dimensions.map(({ name, label, constraintrange }) => ({ name, label, range: constraintrange ?? null }));
}

// Plotly takes two clicks within half a second for a double click, wherever they are, and loses the second: here each
// click on a mark counts, and a double click beside the marks puts the axes back to what the figure gives.
function resetAxes(graph, given) {
  const axes = Object.keys(graph._fullLayout).filter(name => /^[xy]axis\d*$/.test(name));
  window.Plotly.relayout(graph, Object.fromEntries(axes.map(name => {
    const { range, autorange = true } = given[name] ?? {};
    return range ? [`${name}.range`, range] : [`${name}.autorange`, autorange];
  })));
}

function listen(graph, holder) {
  let onMark = false;
  graph.on("plotly_hover", () => { onMark = true; });
  graph.on("plotly_unhover", () => { onMark = false; });
  graph.on("plotly_doubleclick", () => { if (!onMark) resetAxes(graph, holder.given()); });
  const send = event => holder.drawing || holder.send?.(event); // plotly reports the end of a box that a drawing takes away
  graph.on("plotly_click", ({ points }) => send({ kind: "click", points: points.map(described) }));
  graph.on("plotly_selected", event => event && send({ kind: "select", points: event.points.map(described) }));
  graph.on("plotly_restyle", ([change]) => {
    if (Object.keys(change).some(name => name.includes("constraintrange"))) {
      send({ kind: "brush", points: [], dimensions: brushed(graph) });
    }
  });
}

// The marks that keys can go to, from left to right, then the cells, row by row.
function marksOf(graph) {
  const seen = graph._fullData.filter(({ visible, hoverinfo, type }) => visible === true && hoverinfo !== "skip" && ["scatter", "bar", "heatmap"].includes(type));
  return seen.flatMap(({ type, index, x, y, z, xaxis = "x", yaxis = "y" }) => {
    const mark = (at, event, across = 1) => ({ at, across, event, subplot: xaxis + yaxis });
    const place = (axis, values, i) => graph._fullLayout[axis.replace(/^./, "$&axis")].d2p(values?.[i] ?? i);
    if (type !== "heatmap") return Array.from(y).flatMap((value, i) => value == null ? [] : mark([x?.[i] ?? i, value], [{ curveNumber: index, pointNumber: i }]));
    const cell = (row, j, i) => mark([Infinity, j], { xpx: place(xaxis, x, i), ypx: place(yaxis, y, j) }, row.length); // plotly does not find cells by number
    return Array.from(z).flatMap((row, j) => Array.from(row, (_, i) => cell(row, j, i)));
  }).sort((a, b) => a.subplot.localeCompare(b.subplot) || (a.at[0] === b.at[0] ? a.at[1] - b.at[1] : a.at[0] - b.at[0]));
}

// By keys: arrows go from mark to mark and tell what the pointer would be told, Enter is a click, Escape lets go.
function listenToKeys(graph, holder) {
  const told = holder.querySelector(".told");
  let at = -1;
  const away = () => { window.Plotly.Fx.unhover(graph); told.textContent = ""; };
  graph.addEventListener("blur", away);
  const tell = () => {
    const lines = [...graph.querySelectorAll(".hoverlayer tspan.line, .hoverlayer text:not(:has(tspan.line))")];
    if (document.activeElement === graph) told.textContent = lines.map(each => each.textContent).join(" ").trim();
  };
  graph.addEventListener("keydown", event => {
    const { key, target } = event;
    if (target !== graph || !graph.matches(":focus-visible")) return; // after a click, keys turn the scenes of a presentation
    const marks = marksOf(graph), across = marks[at]?.across ?? 1;
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[key];
    if (by && marks.length) {
      at = Math.max(0, Math.min(marks.length - 1, at + by));
      window.Plotly.Fx.hover(graph, marks[at].event, marks[at].subplot);
      setTimeout(tell, 100); // plotly draws labels at most each 50 ms
    } else if (key === "Enter" && marks[at]) {
      graph.emit("plotly_click", { points: graph._hoverdata ?? [] });
    } else if (key === "Escape" && told.textContent) away();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
}

function rowsOf(trace) {
  const list = value => Array.isArray(value) || ArrayBuffer.isView(value) ? Array.from(value) : [];
  if (list(list(trace.z)[0]).length) {
    return list(trace.z).flatMap((row, j) => list(row).map((z, i) => [trace._input.name ?? "", trace.x?.[i] ?? i, trace.y?.[j] ?? j, z]));
  }
  if (trace.dimensions) {
    const columns = trace.dimensions.map(({ values }) => list(values));
    return columns[0].map((_, i) => columns.map(column => column[i]));
  }
  const xs = list(trace.x), ys = list(trace.y);
  return (xs.length ? xs : ys).map((_, i) => [trace._input.name ?? "", xs[i], ys[i], trace.z?.[i] ?? trace.error_y?.array?.[i]]);
}

// The figure's data as lines of cells, heads first, without columns that hold nothing.
function linesOf(graph, { xaxis, yaxis }) {
  const traces = graph._fullData.filter(trace => trace.visible === true);
  const axis = traces.find(trace => trace.dimensions);
  const heads = axis ? axis.dimensions.map(({ label }) => label) : ["series", titleOf(xaxis, "x"), titleOf(yaxis, "y"), "value"];
  const rows = traces.flatMap(rowsOf);
  const used = heads.map((_, i) => rows.some(row => row[i] !== undefined && row[i] !== ""));
  return [heads, ...rows].map(row => heads.map((_, i) => unescaped(row[i] ?? "")).filter((_, i) => used[i]));
}

// Names were escaped for Plotly, which takes texts for markup.
function unescaped(value) {
  if (typeof value !== "string") return value;
  return value.replaceAll("<br>", " ").replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

function fillTable(table, lines) {
  const line = (tag, cells) => {
    const row = document.createElement("tr");
    row.append(...cells.map(cell => {
      const field = document.createElement(tag);
      field.textContent = typeof cell === "number" ? Number(cell.toPrecision(6)) : cell;
      return field;
    }));
    return row;
  };
  table.replaceChildren(...lines.slice(0, TABLE_ROWS + 1).map((cells, i) => line(i ? "td" : "th", cells)));
}

// A text that a spreadsheet would take for a formula gets an apostrophe before it.
function csvOf(lines) {
  const cell = value => {
    const text = String(value);
    const safe = /^[=+\-@\t\r]/.test(text) && !/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return lines.map(cells => `${cells.map(cell).join(",")}\r\n`).join("");
}

async function save(format, graph, { alt, background, lines }) {
  const filename = alt.normalize("NFKD").toLowerCase().match(/[a-z0-9]+/g)?.join("-").slice(0, 60) ?? "chart";
  if (format === "csv") {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csvOf(lines())], { type: "text/csv" }));
    link.download = `${filename}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    return;
  }
  const { data, layout, clientWidth: width, clientHeight: height } = graph;
  const figure = { data, layout: { ...layout, paper_bgcolor: background }, config: CONFIG };
  await window.Plotly.downloadImage(figure, { format, filename, width, height, scale: format === "png" ? 2 : 1 });
}

function titleOf(axis, otherwise) {
  return axis?.title?.text || otherwise;
}

export default function ({ data, parentElement, setTriggerValue }) {
  let holder = parentElement.querySelector(".live-chart");
  let given = data.figure ?? known(data.chart, data.version);
  if (!given) {
    const base = known(data.chart, data.base);
    if (!base) { setTriggerValue("lost", data.version); return; }
    given = patched(base, data.patch);
  }
  if (data.version) keep(data.chart, data.version, given);
  const figure = cloned(given);
  if (!holder) {
    holder = document.createElement("div");
    holder.className = "live-chart";
    holder.innerHTML = '<div class="wide"><div class="drawing" role="group"></div></div><div class="told" role="status"></div><div class="beneath"><details><summary>Data</summary><div class="cells" tabindex="0"><table></table></div></details><div class="save" role="group" aria-label="Save this chart"><button>PNG</button><button>SVG</button><button>CSV</button></div></div>';
    if (!document.querySelector("style.live-chart-style")) {
      const style = document.createElement("style");
      style.className = "live-chart-style";
      style.textContent = STYLE;
      document.head.append(style);
    }
    parentElement.append(holder);
    holder.addEventListener("transitionend", ({ target, propertyName }) => {
      if (target === holder && propertyName === "color") holder.draw();
    });
  }
  const [graph, details] = [holder.querySelector(".drawing"), holder.querySelector("details")];
  graph.setAttribute("aria-label", data.alt);
  const { least_width: leastWidth = 0, aspect } = figure.layout.meta ?? {};
  if (aspect) figure.layout.height = Math.min(figure.layout.height, BESIDE_DRAWING + aspect * holder.clientWidth);
  graph.style.minHeight = `${figure.layout.height ?? 360}px`;
  graph.style.minWidth = `${leastWidth}px`;
  graph.parentElement.tabIndex = leastWidth ? 0 : -1; // what may scroll is to be reached by keys
  holder.given = () => cloned(given).layout; // Plotly writes the ranges of a zoom into the one that it draws
  holder.send = data.listens ? event => setTriggerValue("event", event) : undefined;
  const fill = () => {
    if (details.open) fillTable(details.querySelector("table"), linesOf(graph, figure.layout));
  };
  details.ontoggle = fill;
  holder.querySelector(".save").onclick = ({ target }) => {
    if (target.tagName !== "BUTTON") return;
    const background = getComputedStyle(holder).getPropertyValue("--st-background-color").trim();
    save(target.textContent.toLowerCase(), graph, { alt: data.alt, background, lines: () => linesOf(graph, figure.layout) })
      .catch(error => { target.title = `It could not be made: ${error.message}`; target.disabled = true; });
  };
  holder.draw = async () => {
    const Plotly = await loadedPlotly(data.plotly);
    const first = !graph.on;
    // a newer figure may have come while the script was loaded: then its own call draws it
    const layout = { ...themed(figure.layout, holder), selectionrevision: holder.dataset.drawn };
    const config = layout.dragmode === "select" ? SELECTING : CONFIG;
    const traces = figure.data.map(trace => arranged(trace, graph, holder));
    holder.drawing = true;
    const start = performance.now();
    const drawn = Plotly.react(graph, { data: traces, layout, config, frames: figure.frames }).finally(() => { holder.drawing = false; });
    window.soupDrawing = (window.soupDrawing ?? 0) + performance.now() - start; // milliseconds, by which pulse.js keeps its pace
    await drawn;
    if (first) { listen(graph, holder); listenToKeys(graph, holder); }
    graph.tabIndex = marksOf(graph).length ? 0 : -1;
    graph.ariaDescription = graph.tabIndex ? "" : `Arrow keys go from mark to mark${data.listens ? ", Enter chooses one" : ""}.`;
    holder.dataset.drawn = String(Number(holder.dataset.drawn ?? 0) + 1);
    fill();
  };
  const style = getComputedStyle(holder);
  const look = [data.version, data.answered, figure.layout.height, style.color, style.getPropertyValue("--st-background-color")].join();
  if (holder.look === look) return;
  holder.look = look;
  holder.draw().catch(error => { graph.textContent = `This chart cannot be drawn: ${error.message}`; });
  return () => setTimeout(() => { if (!holder.isConnected) window.Plotly?.purge(graph); });
}
