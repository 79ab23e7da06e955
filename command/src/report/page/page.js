'use strict';
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const runs = data.runs;
  const at = (id) => document.getElementById(id);
  const WHOLE = 'tick_to_callback';
  const MEANS = {
    'ingest.wait': 'From arrival in signal_on_data until a lane picks the event up.',
    'ingest.work': 'Decoding, checks and the instrument\u2019s number.',
    'factor.wait': 'In the ring before factor.',
    'factor.work': 'State and factors of an event that makes a signal.',
    'factor.update': 'State of an event that makes no signal.',
    'model.wait': 'In the ring before model.',
    'model.work': 'The models\u2019 run.',
    'egress.wait': 'In the ring before egress.',
    'egress.work': 'Egress on a lane of its own.',
    'host.wait': 'From publication to the host until its poll finds the signal.',
    'tick_to_callback': 'The whole way: from arrival in signal_on_data until the host\u2019s poll finds the signal.',
  };

  // Elements: text is always set as text, so nothing in a report can become markup.
  const make = (name, attributes = {}, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value !== undefined && value !== null) element.setAttribute(key, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  };
  const table = (titles, rows, { text = 1 } = {}) => {
    const cell = (tag) => (value, column) => {
      if (value instanceof Node) return value;
      return make(tag, column > 0 && column < text ? { class: 'text' } : {}, String(value));
    };
    return make('table', {},
      make('thead', {}, make('tr', {}, ...titles.map(cell('th')))),
      make('tbody', {}, ...rows.map((row) => row instanceof Node ? row : make('tr', {}, ...row.map(cell('td'))))));
  };

  // Numbers.
  const grouped = (value) => Math.round(value).toLocaleString('en-US');
  const digits = (value) => value.toPrecision(3).includes('e') ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
  const duration = (ns) => {
    if (ns === null || ns === undefined) return '\u2013';
    const size = Math.abs(ns);
    if (size < 1e3) return `${digits(ns)} ns`;
    if (size < 1e6) return `${digits(ns / 1e3)} us`;
    if (size < 1e9) return `${digits(ns / 1e6)} ms`;
    return `${digits(ns / 1e9)} s`;
  };
  const percentile = (x) => {
    const percent = 100 * (1 - 1 / x);
    return `${Number(percent.toFixed(Math.max(0, Math.round(Math.log10(x)) - 2)))} %`;
  };
  const seconds = (value) => value < 120 ? `${digits(value)} s` : value < 7200 ? `${digits(value / 60)} min` : `${digits(value / 3600)} h`;

  // Colours come from the style sheet, which knows light, dark and paper.
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const nameOf = (index) => data.has_baseline && index === 0 ? 'base' : `c${(index - (data.has_baseline ? 1 : 0)) % 5}`;

  const figures = (run, hop) => run.figures.find((each) => each.hop === hop);
  const curves = (run, hop) => run.curves.find((each) => each.hop === hop);
  const hops = [];
  for (const run of runs) for (const each of run.figures) if (!hops.includes(each.hop)) hops.push(each.hop);

  const header = () => {
    runs.forEach((run, index) => {
      const when = new Date(run.start_unix_s * 1000);
      const begun = run.figures.length ? when.toISOString().replace('T', ' ').slice(0, 19) + ' UTC' : 'nothing was timed';
      const parts = [begun, seconds(run.seconds)];
      if (run.reports > 1) parts.push(`${run.reports} reports`);
      const cpu = run.facts['machine.cpu'];
      if (cpu) parts.push(cpu.join(', '));
      const revision = run.facts['build.revision'];
      if (revision) parts.push(`revision ${revision.join(', ')}`);
      at('runs').append(make('div', { class: 'run' },
        make('span', { class: 'swatch', style: `background: var(--${nameOf(index)})` }),
        make('b', {}, run.label),
        data.has_baseline && index === 0 ? make('span', {}, 'baseline') : null,
        make('span', {}, parts.join(' \u00b7 '))));
    });
    document.title = `Latency report: ${runs.map((run) => run.label).join(', ')}`;
  };

  const verdicts = () => {
    const lines = [];
    let worst = '';
    const say = (kind, text) => {
      lines.push(make('p', {}, make('b', { class: kind }, kind === 'good' ? '\u2713 ' : kind === 'bad' ? '\u2717 ' : '? '), text));
      if (kind === 'bad' || kind === 'doubt' && worst !== 'bad' || worst === '') worst = kind;
    };
    for (const run of runs) {
      if (run.invalid) say('bad', `${run.label}: INVALID as latencies of the library: ${run.invalid}`);
    }
    for (const each of data.comparisons) {
      const kind = { faster: 'good', no_change: 'good', slower: 'bad' }[each.verdict] || 'doubt';
      say(kind, `${each.run} against ${each.baseline}: ${each.says}`);
    }
    for (const each of data.objectives) {
      const kind = each.kept === true ? 'good' : each.kept === false ? 'bad' : 'doubt';
      const word = each.kept === true ? 'kept' : each.kept === false ? 'missed' : 'cannot be judged';
      say(kind, `${each.objective}: ${word} by ${each.run} (${each.found})`);
    }
    if (lines.length === 0) return;
    const place = at('verdicts');
    place.hidden = false;
    place.className = worst;
    place.append(...lines);
  };

  const tiles = () => {
    for (const [index, run] of runs.entries()) {
      const row = make('div', { class: 'tiles' });
      at('tiles').append(make('div', { class: 'of' },
        make('span', { class: 'swatch', style: `background: var(--${nameOf(index)})` }), ` ${run.label}: tick to callback`));
      const tile = (name, value, small, kind) => row.append(make('div', { class: 'tile' },
        make('span', {}, name), make('b', { class: kind }, value), small ? make('small', {}, small) : null));
      const all = figures(run, WHOLE);
      if (all) {
        for (const each of all.percentiles.filter((each) => ['p50', 'p99', 'p99.9'].includes(each.name))) {
          tile(each.name, each.told ? duration(each.ns) : '\u2013',
            each.told ? `${duration(each.low_ns)} to ${duration(each.high_ns)}` : 'too few signals');
        }
        tile('longest', (all.beyond ? '\u2265 ' : '') + duration(all.max_ns), `of ${grouped(all.count)} signals`);
      }
      const events = figures(run, 'ingest.wait');
      if (events) tile('events', grouped(events.count), run.seconds > 0 ? `${grouped(events.count / run.seconds)} a second` : '');
      const lost = Object.values(run.losses).reduce((sum, count) => sum + count, 0);
      const known = Object.keys(run.counters).length > 0;
      tile('lost or refused', known ? grouped(lost) : 'unknown', known ? '' : 'no summary.json', lost > 0 ? 'bad' : undefined);
      at('tiles').append(row);
    }
  };

  // Charts.
  let charts = [];
  const axis = (more) => ({
    stroke: colour('soft'), font: '12px system-ui, sans-serif', labelFont: '12px system-ui, sans-serif',
    grid: { stroke: colour('grid'), width: 1 }, ticks: { stroke: colour('grid'), width: 1 }, ...more,
  });
  const decades = (low, high) => {
    const all = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) all.push(10 ** power);
    return all;
  };
  const fine = (low, high) => {
    const all = decades(low, high);
    const several = all.length <= 4 ? [1, 2, 5] : [1];
    return all.flatMap((value) => several.map((times) => value * times)).filter((value) => value >= low && value <= high);
  };
  const latencyAxis = () => axis({
    scale: 'y', size: 66, splits: (plot, index, low, high) => fine(low, high), values: (plot, all) => all.map(duration),
  });
  // Some room above and below, in steps of the axis.
  const latencyScale = { distr: 3, range: (plot, low, high) => low > 0 ? [low / 1.25, high * 1.25] : [1, 10] };
  const draw = (id, height, options, values) => {
    const place = at(id);
    place.replaceChildren();
    const size = () => ({ width: Math.max(280, place.clientWidth), height: place.clientWidth < 500 ? Math.min(height, 260) : height });
    const chart = new uPlot({ ...size(), ...options }, values, place);
    charts.push({ chart, place, size });
  };
  const empty = (id, text) => at(id).replaceChildren(make('p', {}, text));

  const byPercentile = (hop) => {
    const shown = runs.map((run, index) => ({ run, index, of: curves(run, hop) })).filter((each) => each.of && each.of.by_percentile.length > 1);
    at('hop-means').textContent = MEANS[hop] || '';
    at('by-percentile-data').replaceChildren();
    if (shown.length === 0) return empty('by-percentile', 'Too few latencies of this hop for a curve.');
    const joined = uPlot.join(shown.map((each) => [each.of.by_percentile.map(([x]) => x), each.of.by_percentile.map(([, ns]) => Math.max(1, ns))]));
    draw('by-percentile', 380, {
      scales: { x: { time: false, distr: 3, range: (plot, low, high) => [1, Math.max(10, high)] }, y: latencyScale },
      axes: [axis({ splits: (plot, index, low, high) => decades(low, high).filter((x) => x <= high), values: (plot, all) => all.map(percentile) }), latencyAxis()],
      series: [{ label: 'percentile', value: (plot, x) => x === null ? '\u2013' : `${(100 * (1 - 1 / x)).toFixed(4)} %` }, ...shown.map((each) => ({
        label: each.run.label, stroke: colour(nameOf(each.index)), width: 2, spanGaps: true, points: { show: false },
        dash: data.has_baseline && each.index === 0 ? [6, 4] : undefined, value: (plot, ns) => duration(ns),
      }))],
      cursor: { points: { size: 7 } },
    }, joined);
    at('by-percentile').setAttribute('role', 'img');
    at('by-percentile').setAttribute('aria-label', `${hop}: latency by percentile; the table below has its data`);
    at('by-percentile-data').append(table(['percentile', ...shown.map((each) => each.run.label)],
      joined[0].map((x, row) => [x <= 1 ? '0 %' : `${(100 * (1 - 1 / x)).toFixed(4)} %`,
        ...shown.map((each, column) => joined[column + 1][row] == null ? '' : duration(joined[column + 1][row]))])));
  };

  const LINES = [['p50', 'p50', 2], ['p99', 'p99', 1.5], ['p999', 'p99.9', 1.5], ['max', 'longest', 1]];
  const overTime = (run, hop) => {
    const of = curves(run, hop);
    const events = curves(run, 'ingest.wait');
    at('over-time-data').replaceChildren();
    if (!of || of.over_time.length < 2) {
      empty('over-time', 'One interval: nothing to show over time. latency.interval_ms sets how long one is.');
      empty('activity', '');
      return;
    }
    const lost = run.lost_over_time;
    const anyLost = lost.some((count) => count > 0);
    const times = of.over_time.map((slice) => slice.t);
    const known = LINES.filter(([key]) => of.over_time.some((slice) => slice[key] !== null));
    const sync = uPlot.sync('time');
    const timeAxis = axis({ values: (plot, all) => all.map(seconds) });
    draw('over-time', 300, {
      scales: { x: { time: false }, y: latencyScale },
      axes: [timeAxis, latencyAxis()],
      series: [{ label: 'time', value: (plot, t) => t === null ? '\u2013' : seconds(t) }, ...known.map(([key, label, width]) => ({
        label, stroke: colour(key), width, spanGaps: key !== 'max', points: { show: key === 'max' ? true : false, size: 3, fill: colour(key) },
        paths: key === 'max' ? () => null : undefined, value: (plot, ns) => duration(ns),
      }))],
      cursor: { sync: { key: sync.key } },
    }, [times, ...known.map(([key]) => of.over_time.map((slice) => slice[key] === null ? null : Math.max(1, slice[key])))]);
    at('over-time').setAttribute('role', 'img');
    at('over-time').setAttribute('aria-label', `${hop} of ${run.label} over time; the table below has its data`);
    if (events) {
      draw('activity', 160, {
        scales: { x: { time: false }, y: { range: (plot, low, high) => [0, Math.max(1, high * 1.1)] } },
        axes: [timeAxis, axis({ size: 66, values: (plot, all) => all.map(grouped) })],
        series: [{ label: 'time', value: (plot, t) => t === null ? '\u2013' : seconds(t) },
          { label: 'events a second', stroke: colour('c2'), fill: colour('c2') + '22', width: 1.5, points: { show: false }, value: (plot, rate) => rate === null ? '\u2013' : grouped(rate) },
          ...(anyLost ? [{ label: 'lost or refused', stroke: colour('bad'), width: 0, fill: colour('bad'), paths: uPlot.paths.bars({ size: [0.6, 12] }),
            points: { show: false }, value: (plot, count) => count === null ? '\u2013' : grouped(count) }] : [])],
        cursor: { sync: { key: sync.key } },
      }, [events.over_time.map((slice) => slice.t), events.over_time.map((slice) => slice.rate), ...(anyLost ? [lost] : [])]);
      at('activity').setAttribute('role', 'img');
      at('activity').setAttribute('aria-label', `events a second of ${run.label} over time; the table below has its data`);
    } else {
      empty('activity', 'Events were not timed.');
    }
    at('over-time-data').append(table(['time', 'events a second', 'lost or refused', 'signals a second', 'p50', 'p99', 'p99.9', 'longest'].map((title, column) =>
      column === 3 && hop !== WHOLE ? `${hop} a second` : title),
      of.over_time.map((slice, row) => [seconds(slice.t), events && events.over_time[row] ? grouped(events.over_time[row].rate) : '',
        grouped(lost[row] || 0), grouped(slice.rate), duration(slice.p50), duration(slice.p99), duration(slice.p999), duration(slice.max)])));
  };

  const hopTable = () => {
    const titles = ['hop', 'count', 'shortest', ...data.percentiles.map(([name]) => name), 'longest', 'mean', 'deviation'];
    const rows = [];
    const longest = Math.max(1, ...runs.flatMap((run) => run.figures.filter((each) => each.hop !== WHOLE).map((each) => each.percentiles[0].ns)));
    for (const hop of hops) {
      runs.forEach((run, index) => {
        const of = figures(run, hop);
        if (!of) return;
        const name = make('td', {}, hop);
        if (runs.length > 1) name.append(make('small', {}, make('span', { class: 'swatch', style: `background: var(--${nameOf(index)})` }), ` ${run.label}`));
        const cells = of.percentiles.map((each, column) => {
          if (!each.told) return make('td', {}, '\u2013');
          const cell = make('td', {}, duration(each.ns), make('small', {}, `[${duration(each.low_ns)}, ${duration(each.high_ns)}]`));
          if (column === 0 && hop !== WHOLE) cell.append(make('span', { class: 'bar', style: `width: ${Math.max(2, 100 * each.ns / longest)}%` }));
          return cell;
        });
        rows.push(make('tr', {}, name, make('td', {}, grouped(of.count)), make('td', {}, duration(of.min_ns)), ...cells,
          make('td', {}, (of.beyond ? '\u2265 ' : '') + duration(of.max_ns)), make('td', {}, duration(of.mean_ns)), make('td', {}, duration(of.deviation_ns))));
      });
    }
    at('hops').append(rows.length ? table(titles, rows) : make('p', {}, 'No hop was timed.'));
  };

  const slow = () => {
    const counts = [];
    const rows = [];
    for (const run of runs) {
      const name = runs.length > 1 ? `${run.label}: ` : '';
      if (run.slow_count.all) counts.push(`${name}${grouped(run.slow_count.all)} signals took 10 times the median or longer, ${grouped(run.slow_count.explained)} of them with a cause: what took at least half of that time.`);
      for (const each of run.slow) {
        rows.push([...(runs.length > 1 ? [run.label] : []), `${each.at.toFixed(3)} s`, duration(each.ns), duration(each.publish_ns), duration(each.poll_ns),
          each.instrument, String(each.sequence), make('td', { class: each.cause === 'unknown' ? 'text doubt' : 'text' }, each.cause)]);
      }
    }
    at('slow-section').hidden = rows.length === 0;
    at('slow-count').textContent = counts.join(' ');
    at('slow').append(table([...(runs.length > 1 ? ['run'] : []), 'at', 'tick to callback', 'to publish', 'to the poll', 'instrument', 'signal', make('th', { class: 'text' }, 'cause')], rows));
  };

  const comparison = () => {
    const place = at('comparison');
    for (const each of data.comparisons) {
      place.hidden = false;
      place.append(make('h2', {}, `${each.run} against ${each.baseline}`), make('p', { class: 'note' }, each.says));
      const words = { faster: ['faster', 'good'], slower: ['slower', 'bad'], no_change: ['no change', ''], too_few: ['too few', 'doubt'] };
      if (each.verdict !== 'invalid') {
        place.append(make('div', { class: 'scroll' }, table(
          ['hop', 'before', 'after', 'change', '', 'least that counts', 'longer in', 'verdict'],
          each.changes.filter((change) => change.verdict !== 'too_few').map((change) => {
            const by = change.after_ns - change.before_ns;
            const [word, kind] = words[change.verdict] || [change.verdict, 'doubt'];
            return [`${change.hop} ${change.percentile}`, duration(change.before_ns), duration(change.after_ns),
              (by > 0 ? '+' : '') + duration(by), `${by > 0 ? '+' : ''}${(100 * by / Math.max(1, change.before_ns)).toFixed(1)} %`,
              duration(change.least_ns), `${Math.round(100 * change.longer_in)} %`, make('td', { class: kind }, word)];
          }))));
      }
      if (each.facts.length) {
        place.append(make('h3', {}, 'Facts that differ'), make('div', { class: 'scroll' },
          table(['fact', 'before', 'after'], each.facts.map((fact) => [fact.fact, fact.before, fact.after]), { text: 3 })));
      }
    }
  };

  const counters = () => {
    const named = runs.length > 1 ? runs.map((run) => run.label) : ['count'];
    const across = (key) => {
      const names = [...new Set(runs.flatMap((run) => Object.keys(run[key])))].sort();
      return names.map((name) => [name, ...runs.map((run) => run[key][name] === undefined ? '\u2013' : grouped(run[key][name]))]);
    };
    const losses = across('losses');
    at('losses').append(losses.length ? make('div', { class: 'scroll' }, table(['lost or refused', ...named], losses))
      : make('p', {}, Object.keys(runs[0].counters).length ? 'Nothing was lost or refused.' : 'Counters are unknown: there is no summary.json.'));
    at('counters').append(table(['counter', ...named], across('counters')));
  };

  const lanes = () => {
    const named = (run, name) => runs.length > 1 ? `${run.label}: ${name}` : name;
    const rows = runs.flatMap((run) => run.lanes.map((lane) => [named(run, lane.name), lane.core === null ? '\u2013' : lane.core,
      grouped(lane.stalls), grouped(lane.away), duration(lane.away_ns), lane.waited_for_core_ns === null ? 'not counted' : duration(lane.waited_for_core_ns), duration(lane.longest_duty_ns)]));
    const rings = runs.flatMap((run) => run.rings.map((ring) => [named(run, ring.name), grouped(ring.capacity), grouped(ring.high_water), `${(100 * ring.high_water / Math.max(1, ring.capacity)).toFixed(1)} %`]));
    if (rows.length) at('lanes').append(table(['lane', 'core', 'stalls', 'times away', 'time away', 'others had its core', 'longest turn'], rows));
    if (rings.length) at('rings').append(table(['ring', 'slots', 'most in it', 'filled'], rings));
    at('lanes-section').hidden = rows.length + rings.length === 0;
  };

  const notes = () => {
    for (const run of runs) {
      const lines = [...run.notes, ...run.incidents.map((each) => typeof each === 'string' ? each : JSON.stringify(each)),
        ...run.throttling.map((each) => `CPU quota: ${JSON.stringify(each)}`)];
      if (!lines.length) continue;
      at('notes-section').hidden = false;
      if (runs.length > 1) at('notes').append(make('h3', {}, run.label));
      at('notes').append(make('ul', {}, ...lines.map((line) => make('li', {}, line))));
    }
  };

  const facts = () => {
    const names = [...new Set(runs.flatMap((run) => Object.keys(run.facts)))].sort();
    const rows = names.map((name) => {
      const values = runs.map((run) => (run.facts[name] || ['\u2013']).join(', '));
      const row = make('tr', {}, make('td', {}, name), ...values.map((value) => make('td', { class: 'text' }, value || '\u2013')));
      if (new Set(values).size > 1) row.className = 'differs';
      return { name, row };
    });
    const titles = ['fact', ...runs.map((run) => run.label)];
    const isShown = ({ name, row }) => row.className === 'differs' || !name.startsWith('configuration.');
    const differs = (each) => each.row.className === 'differs' ? 0 : 1;
    const shown = rows.filter(isShown).sort((a, b) => differs(a) - differs(b));
    const rest = rows.filter((each) => !isShown(each));
    at('facts').append(rows.length ? table(titles, shown.map((each) => each.row), { text: 9 })
      : make('p', {}, 'Unknown: there is no summary.json.'));
    at('configuration-details').hidden = rest.length === 0;
    at('configuration').append(table(titles, rest.map((each) => each.row), { text: 9 }));
  };

  const redraw = () => {
    for (const { chart } of charts) chart.destroy();
    charts = [];
    byPercentile(at('hop').value);
    overTime(runs[Number(at('run').value)], at('hop').value);
  };

  header();
  verdicts();
  tiles();
  const order = hops.includes(WHOLE) ? [WHOLE, ...hops.filter((hop) => hop !== WHOLE)] : hops;
  at('hop').append(...order.map((hop) => make('option', { value: hop }, hop)));
  at('run').append(...runs.map((run, index) => make('option', { value: index }, run.label)));
  at('run').value = String(runs.length - 1);
  at('run-choice').hidden = runs.length < 2;
  hopTable();
  slow();
  comparison();
  counters();
  lanes();
  notes();
  facts();
  at('footer').textContent = `Made by signal ${data.version}. Latencies in ns, us (microseconds), ms; exact to 1 %.`;
  redraw();
  at('hop').addEventListener('change', redraw);
  at('run').addEventListener('change', redraw);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
  addEventListener('beforeprint', redraw);
  addEventListener('afterprint', redraw);
  new ResizeObserver(() => {
    for (const { chart, place, size } of charts) if (place.clientWidth !== chart.width) chart.setSize(size());
  }).observe(at('by-percentile'));
})();
