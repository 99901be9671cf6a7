/* Draws each figure[data-chart] from its own table, with uPlot; the table stays for everybody to read. */
'use strict';

const HEIGHTS = { small: 140, medium: 240, large: 340 };
const MARGIN = 40;
const plots = new Map();

function colours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  return { ink: read('--soft'), line: read('--line'), paper: read('--card'), text: read('--ink'), series: (n) => read(`--series-${n}`) };
}

function number(text) { return text === '' || text === undefined ? null : Number(text); }

/* The table as columns: x, and each series with how it is drawn. */
function readTable(figure) {
  const table = figure.querySelector('table');
  const rows = [...table.tBodies[0].rows];
  const kind = figure.dataset.x;
  const labels = rows.map((row) => row.cells[0].textContent.trim());
  const x = rows.map((row, index) => {
    const value = row.cells[0].dataset.v;
    if (kind === 'day') return Date.parse(`${value}T00:00:00Z`) / 1000;
    return kind === 'number' ? Number(value) : index;
  });
  const series = [...table.tHead.rows[0].cells].slice(1).map((cell, index) => ({
    name: cell.textContent.trim(), ...cell.dataset,
    values: rows.map((row) => number(row.cells[index + 1].dataset.v)),
    texts: rows.map((row) => row.cells[index + 1].textContent.trim()),
  })).filter((one) => one.draw !== 'none');
  return { kind, labels, x, series };
}

function format(unit) {
  const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
  return (_, values) => values.map((value) => {
    if (value === null) return '';
    return unit === 'percent' ? `${Math.round(value * 1000) / 10} %` : short.format(value);
  });
}

const MONTH_SECONDS = 28 * 86400;
const DAY_OF = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC' });
const MONTH_OF = new Intl.DateTimeFormat('en-GB', { month: 'short', year: 'numeric', timeZone: 'UTC' });
function days(_, splits, axis, space, step) {
  return splits.map((at) => (at % 86400 ? '' : (step >= MONTH_SECONDS ? MONTH_OF : DAY_OF).format(new Date(at * 1000))));
}

function stacked(series) {
  const sums = new Map();
  const bars = series.filter((one) => one.draw === 'stack').reverse();
  let below = null;
  for (const one of bars) {
    one.drawn = one.values.map((value, index) => (below ? below[index] : 0) + (value || 0));
    below = one.drawn;
    sums.set(one, below);
  }
}

function draw(figure) {
  const plot = figure.querySelector('.plot');
  const data = readTable(figure);
  if (!data.x.length || typeof uPlot === 'undefined') return;
  const palette = colours();
  stacked(data.series);
  plot.hidden = false;
  plot.replaceChildren();
  const unit = data.series[0].unit;
  const lows = new Map(data.series.filter((one) => one.draw === 'low').map((one) => [one.of, one]));
  const bands = [];
  const options = data.series.map((one, index) => {
    const colour = palette.series(one.colour);
    const drawn = { label: one.name, stroke: colour, width: 2, points: { show: data.x.length < 2 }, spanGaps: false };
    if (one.draw === 'steps') drawn.paths = uPlot.paths.stepped({ align: 1 });
    if (one.draw === 'bars' || one.draw === 'stack') {
      Object.assign(drawn, { paths: uPlot.paths.bars({ size: [0.72, 60] }), fill: colour, width: 0, points: { show: false } });
    }
    if (one.draw === 'low' || one.draw === 'high') {
      Object.assign(drawn, { width: 0.5, points: { show: false }, paths: uPlot.paths.stepped({ align: 1 }) });
      const other = data.series.findIndex((two) => two.of === one.of && two.draw === 'low');
      if (one.draw === 'high' && other >= 0) bands.push({ series: [index + 1, other + 1], fill: `${colour}2e` });
    }
    return drawn;
  });
  const floating = data.series.findIndex((one) => one.draw === 'bars' && lows.has(one.name));
  if (floating >= 0) for (const one of options) Object.assign(one, { paths: () => null, points: { show: false } });
  const axis = { stroke: palette.ink, grid: { stroke: palette.line, width: 1 }, ticks: { stroke: palette.line, width: 1 } };
  const axisX = { ...axis, grid: { show: false } };
  if (data.kind === 'label') {
    Object.assign(axisX, { splits: data.x, values: (_, splits) => splits.map((at) => data.labels[at] || '') });
    if ((plot.clientWidth - 60) / data.x.length < 76) Object.assign(axisX, { rotate: -35, size: 74 });
  }
  if (data.kind === 'day') Object.assign(axisX, { values: days, space: 64 });
  const wide = data.series.some((one) => one.draw === 'bars' || one.draw === 'stack') && data.x.length > 1 ? (data.x[1] - data.x[0]) / 2 : 0;
  const made = new uPlot({
    width: Math.max(plot.clientWidth, 200),
    height: HEIGHTS[figure.dataset.height] || HEIGHTS.medium,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), 'UTC'),
    legend: { show: false },
    scales: {
      x: { time: data.kind === 'day', range: data.kind === 'label' ? [-0.6, data.x.length - 0.4] : (_, low, high) => (low === data.x[0] && high === data.x[data.x.length - 1] ? [low - wide, high + wide] : [low, high]) },
      y: { range: (_, low, high) => spread(low, high, unit) },
    },
    axes: [axisX, { ...axis, size: 60, values: format(unit) }],
    series: [{}, ...options],
    bands,
    cursor: { drag: { x: data.kind !== 'label', y: false }, sync: figure.dataset.group ? { key: figure.dataset.group, scales: ['x', null] } : undefined },
    hooks: {
      setCursor: [(u) => legend(figure, data, u.cursor.idx)],
      setScale: [(u, key) => follow(figure, u, key)],
      draw: floating < 0 ? [] : [(u) => float(u, data, floating, lows.get(data.series[floating].name), palette)],
    },
  }, [data.x, ...data.series.map((one) => one.drawn || one.values)], plot);
  plots.set(figure, made);
  plot.setAttribute('role', 'img');
  plot.setAttribute('aria-label', `${figure.querySelector('figcaption').textContent.trim()}: the table below has its numbers`);
  legend(figure, data, null);
}

/* A waterfall's bars stand between two columns, which uPlot has to find the range by. */
function float(u, data, index, low, palette) {
  const { ctx } = u;
  const width = Math.min(60 * devicePixelRatio, (u.bbox.width / data.x.length) * 0.72);
  ctx.save();
  data.x.forEach((at, row) => {
    const from = u.valToPos(low.values[row] || 0, 'y', true);
    const to = u.valToPos(data.series[index].values[row] || 0, 'y', true);
    const rises = data.series[index].values[row] >= (low.values[row] || 0);
    const whole = !low.values[row];
    ctx.fillStyle = whole ? palette.series(8) : rises ? palette.series(1) : palette.series(7);
    ctx.fillRect(u.valToPos(at, 'x', true) - width / 2, Math.min(from, to), width, Math.max(Math.abs(to - from), 1));
  });
  ctx.restore();
}

function spread(low, high, unit) {
  if (low === null || high === null) return [0, 1];
  if (unit === 'percent' && low >= 0 && high <= 1 && high > 0.5) return [0, 1];
  const [bottom, top] = [Math.min(low, 0), Math.max(high, 0)];
  const room = (top - bottom || 1) * 0.06;
  return [bottom < 0 ? bottom - room : 0, top > 0 ? top + room : 0];
}

/* Charts of a group show the same range of x. */
function follow(figure, plot, key) {
  if (key !== 'x' || !figure.dataset.group) return;
  const { min, max } = plot.scales.x;
  for (const [other, drawn] of plots) {
    const shown = drawn.scales.x;
    if (other !== figure && other.dataset.group === figure.dataset.group && (shown.min !== min || shown.max !== max)) {
      drawn.setScale('x', { min, max });
    }
  }
}

function legend(figure, data, index) {
  let list = figure.querySelector('.legend');
  if (!list) {
    list = document.createElement('ul');
    list.className = 'legend';
    figure.querySelector('.plot').after(list);
  }
  const items = data.series.filter((one) => one.draw !== 'low' && one.draw !== 'high').map((one) => {
    const item = document.createElement('li');
    const key = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    const square = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
    key.setAttribute('aria-hidden', 'true');
    square.setAttribute('width', '100%');
    square.setAttribute('height', '100%');
    square.setAttribute('class', `key-${one.colour}`);
    key.append(square);
    item.append(key, index === null || index === undefined ? one.name : `${one.name}: ${one.texts[index]}`);
    return item;
  });
  if (index !== null && index !== undefined) {
    const at = document.createElement('li');
    at.textContent = data.labels[index];
    items.unshift(at);
  }
  list.replaceChildren(...items);
}

function tools(figure) {
  const title = figure.querySelector('figcaption').textContent.trim();
  const actions = [['Download PNG', () => png(figure, title)], ['Download CSV', () => csv(figure, title)]];
  figure.querySelector('details.table').before(buttons(actions, title));
}

function buttons(actions, title) {
  const bar = document.createElement('div');
  bar.className = 'tools';
  for (const [name, act] of actions) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = name;
    button.setAttribute('aria-label', `${name}: ${title}`);
    button.addEventListener('click', act);
    bar.append(button);
  }
  return bar;
}

function save(blob, title, ending) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = `${title.replace(/[^\p{L}\p{N}]+/gu, '-').toLowerCase()}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/* A sheet of paper with a title, for what is so wide and high below it, in pixels of CSS. */
function sheet(width, height, title) {
  const canvas = document.createElement('canvas');
  const palette = colours();
  canvas.width = width * devicePixelRatio;
  canvas.height = (height + MARGIN) * devicePixelRatio;
  const context = canvas.getContext('2d');
  context.scale(devicePixelRatio, devicePixelRatio);
  context.fillStyle = palette.paper;
  context.fillRect(0, 0, width, height + MARGIN);
  context.fillStyle = palette.text;
  context.font = '600 15px system-ui, sans-serif';
  context.fillText(title, 12, 26);
  return context;
}

function png(figure, title) {
  const source = plots.get(figure).ctx.canvas;
  const [width, height] = [source.width / devicePixelRatio, source.height / devicePixelRatio];
  const context = sheet(width, height, title);
  context.drawImage(source, 0, MARGIN, width, height);
  context.canvas.toBlob((blob) => save(blob, title, 'png'));
}

/* A table whose cells are coloured is a picture itself: each cell is painted where it stands. */
function picture(table, title) {
  const box = table.getBoundingClientRect();
  const context = sheet(box.width, box.height, title);
  context.textBaseline = 'middle';
  for (const one of table.querySelectorAll('th, td')) {
    const at = one.getBoundingClientRect();
    const style = getComputedStyle(one);
    const [x, y] = [at.left - box.left, at.top - box.top + MARGIN];
    const right = ['right', 'end'].includes(style.textAlign);
    context.fillStyle = style.backgroundColor;
    context.fillRect(x, y, at.width, at.height);
    context.fillStyle = getComputedStyle(one.querySelector('a') ?? one).color;
    context.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
    context.textAlign = right ? 'right' : 'left';
    context.fillText(one.textContent.trim(), right ? x + at.width - 6 : x + 6, y + at.height / 2);
  }
  context.canvas.toBlob((blob) => save(blob, title, 'png'));
}

/* A text that a spreadsheet would take for a formula gets an apostrophe before it: the rule of csv_text.py. */
function isFormula(text) {
  if (/^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text)) return false; // a number of the chart's
  const seen = text.replace(/^[\s\p{Cc}\p{Cf}]+/u, '').slice(0, 1).normalize('NFKC').slice(0, 1);
  return /^[\t\r\n]/.test(text) || (seen !== '' && '=+-@'.includes(seen));
}

function cell(text) {
  const safe = isFormula(text) ? `'${text}` : text;
  return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function csv(figure, title) {
  const rows = [...figure.querySelectorAll('table tr')];
  const lines = rows.map((row) => [...row.cells].map((one) => cell(one.dataset.v ?? one.textContent.trim())).join(','));
  save(new Blob([lines.join('\r\n'), '\r\n'], { type: 'text/csv' }), title, 'csv');
}

function begin(within) {
  const figures = [...within.querySelectorAll('figure[data-chart]:not([data-drawn])')];
  if (within.matches && within.matches('figure[data-chart]:not([data-drawn])')) figures.push(within);
  for (const figure of figures) {
    figure.dataset.drawn = '';
    if (!figure.querySelector('tbody tr')) continue;
    figure.querySelector('details.table').open = false;
    draw(figure);
    tools(figure);
  }
  for (const table of within.querySelectorAll('table.heat:not([data-drawn])')) {
    table.dataset.drawn = '';
    const scrolling = table.closest('.scroll');
    const title = scrolling.getAttribute('aria-label');
    scrolling.after(buttons([['Download PNG', () => picture(table, title)]], title));
  }
}

const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const drawn = plots.get(target.closest('figure'));
    if (drawn && target.clientWidth && Math.abs(drawn.width - target.clientWidth) > 1) drawn.setSize({ width: target.clientWidth, height: drawn.height });
  }
});

function redraw() { for (const figure of plots.keys()) draw(figure); }

function start(within) {
  begin(within);
  for (const plot of within.querySelectorAll('figure[data-chart] .plot')) resized.observe(plot);
}

document.addEventListener('tenure:theme', redraw);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
document.addEventListener('htmx:afterSettle', (event) => start(event.detail.elt.parentElement || document));
start(document);
