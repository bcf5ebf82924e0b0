// Draws a dashboard from its JSON and the answers of a Prometheus: Grafana's own processing of fields, units, overrides,
// thresholds and transformations, and its own panels where npm has them. Heatmap and state timeline are drawn here.
import {
  applyFieldOverrides, createTheme, dateTime, FieldConfigOptionsRegistry, FieldType, getDisplayProcessor,
  getFieldDisplayName, getFieldDisplayValues, standardFieldConfigEditorRegistry, standardTransformers,
  standardTransformersRegistry, transformDataFrame, toDataFrame, getValueFormats, getValueFormat, FieldColorModeId,
} from '@grafana/data';
import { BarGauge, BigValue, PanelChrome, Table, ThemeContext, TimeSeries, VizRepeater } from '@grafana/ui';
import { lastValueFrom } from 'rxjs';
import React, { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';

const CELL = 30, MARGIN = 8;
const theme = createTheme({ colors: { mode: 'dark' } });
const given = JSON.parse(document.getElementById('given').textContent);
const problems = [];
const complain = (panel, text) => problems.push(`${panel.title}: ${text}`);

// What a dashboard may set of a field. An id that is not here is one that Grafana would pass over in silence.
const STANDARD = ['unit', 'min', 'max', 'decimals', 'displayName', 'noValue', 'color', 'thresholds', 'mappings', 'links', 'fieldMinMax'];
const CUSTOM = {
  timeseries: ['drawStyle', 'lineWidth', 'lineInterpolation', 'fillOpacity', 'showPoints', 'pointSize', 'stacking', 'thresholdsStyle',
    'scaleDistribution', 'axisSoftMax', 'axisSoftMin', 'axisPlacement', 'lineStyle', 'gradientMode', 'spanNulls', 'hideFrom', 'barAlignment', 'axisLabel'],
  'state-timeline': ['fillOpacity', 'lineWidth'],
  table: ['cellOptions', 'width', 'filterable', 'align', 'inspect'],
};
const item = (id, isCustom) => ({
  id: isCustom ? `custom.${id}` : id, path: id, isCustom, name: id, process: (value) => value, shouldApply: () => true,
  editor: () => null, override: () => null,
});
standardFieldConfigEditorRegistry.setInit(() => STANDARD.map((id) => item(id, false)));
standardTransformersRegistry.setInit(() => [...new Map(Object.values(standardTransformers).map((t) => [t.id, t])).values()].map((t) => ({ id: t.id, name: t.name, transformation: t, editor: () => null })));

function registryFor(type) {
  return new FieldConfigOptionsRegistry(() => [...STANDARD.map((id) => item(id, false)), ...(CUSTOM[type] ?? []).map((id) => item(id, true))]);
}

function knownUnits() {
  return new Set(getValueFormats().flatMap((group) => group.submenu.map((format) => format.value)));
}

function framesOf(panel, answers) {
  return panel.targets.flatMap((target, index) => {
    const answer = answers[index];
    if (target.format === 'table') {
      return [tableOf(target, answer)];
    }
    return answer.map((series) => {
      const points = series.values ?? [series.value];
      const labels = { ...series.metric };
      delete labels.__name__;
      const name = target.legendFormat.replace(/\{\{(\w+)\}\}/g, (_, label) => labels[label] ?? '');
      return toDataFrame({
        refId: target.refId, name,
        fields: [
          { name: 'Time', type: FieldType.time, values: points.map(([at]) => at * 1000), config: { interval: given.step * 1000 } },
          { name: 'Value', type: FieldType.number, labels, values: points.map(([, value]) => number(value)), config: { displayNameFromDS: name } },
        ],
      });
    });
  });
}

function tableOf(target, answer) {
  const labels = [...new Set(answer.flatMap((series) => Object.keys(series.metric)))].filter((label) => label !== '__name__').sort();
  return toDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: answer.map((series) => series.value[0] * 1000) },
      ...labels.map((label) => ({ name: label, type: FieldType.string, values: answer.map((series) => series.metric[label] ?? '') })),
      { name: `Value #${target.refId}`, type: FieldType.number, values: answer.map((series) => number(series.value[1])) },
    ],
  });
}

const number = (text) => (text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : Number(text));

// Samples at equal times for all series, so that gaps are gaps and stacks add up.
function aligned(frames) {
  const times = [];
  for (let at = given.from; at <= given.to; at += given.step) {
    times.push(Math.round(at * 1000));
  }
  return toDataFrame({
    fields: [
      { name: 'Time', type: FieldType.time, values: times, config: {} },
      ...frames.map((frame) => {
        const at = new Map(frame.fields[0].values.map((time, index) => [Math.round(time), frame.fields[1].values[index]]));
        return { ...frame.fields[1], state: undefined, values: times.map((time) => at.get(time) ?? null) };
      }),
    ],
  });
}

function overridden(panel, frames) {
  const registry = registryFor(panel.type);
  for (const { matcher, properties } of panel.fieldConfig.overrides ?? []) {
    for (const { id } of properties) {
      if (!registry.getIfExists(id)) {
        complain(panel, `an override sets ${id}, which is not known`);
      }
    }
    const names = frames.flatMap((frame) => frame.fields.map((field) => getFieldDisplayName(field, frame, frames)));
    const wanted = matcher.id === 'byName' ? (name) => name === matcher.options : (name) => new RegExp(matcher.options.slice(1, -1)).test(name);
    if (frames.length && !names.some(wanted) && !given.sparse.includes(panel.title)) {
      complain(panel, `an override is for ${matcher.options}, and there are ${names.join(', ')}`);
    }
  }
  for (const id of Object.keys(panel.fieldConfig.defaults.custom ?? {})) {
    if (!registry.getIfExists(`custom.${id}`)) {
      complain(panel, `sets ${id}, which is not known`);
    }
  }
  for (const unit of [panel.fieldConfig.defaults.unit, ...(panel.fieldConfig.overrides ?? []).flatMap((each) => each.properties.filter((p) => p.id === 'unit').map((p) => p.value))]) {
    if (!knownUnits().has(unit)) {
      complain(panel, `the unit ${unit} is not known`);
    }
  }
  return applyFieldOverrides({
    data: frames, fieldConfig: structuredClone(panel.fieldConfig), theme, replaceVariables: (text) => text,
    fieldConfigRegistry: registry, timeZone: 'utc',
  });
}

async function processed(panel, answers) {
  let frames = framesOf(panel, answers);
  if (panel.transformations?.length) {
    for (const { id } of panel.transformations) {
      if (!standardTransformersRegistry.getIfExists(id)) {
        complain(panel, `the transformation ${id} is not known`);
      }
    }
    frames = await lastValueFrom(transformDataFrame(panel.transformations, frames));
  }
  if (panel.type === 'timeseries' || panel.type === 'state-timeline') {
    frames = frames.length ? [aligned(frames)] : [];
  }
  return overridden(panel, frames);
}

function Stat({ panel, frames, width, height }) {
  const values = getFieldDisplayValues({
    fieldConfig: panel.fieldConfig, reduceOptions: panel.options.reduceOptions, replaceVariables: (text) => text, theme, data: frames,
    sparkline: panel.options.graphMode !== 'none', timeZone: 'utc',
  });
  return (
    <VizRepeater
      getValues={() => values} source={values} width={width} height={height} itemSpacing={3} orientation={panel.options.orientation === 'vertical' ? 'vertical' : 'auto'}
      renderValue={({ value, width, height, count }) => (
        <BigValue value={{ ...value.display, title: panel.options.textMode === 'value' ? undefined : value.display.title }} width={width} height={height} theme={theme} count={count}
          sparkline={value.sparkline} colorMode={panel.options.colorMode} graphMode={panel.options.graphMode} justifyMode={panel.options.justifyMode} textMode={panel.options.textMode} />
      )}
    />
  );
}

function Bars({ panel, frames, width, height }) {
  const values = getFieldDisplayValues({ fieldConfig: panel.fieldConfig, reduceOptions: panel.options.reduceOptions, replaceVariables: (text) => text, theme, data: frames, timeZone: 'utc' });
  return (
    <VizRepeater
      getValues={() => values} source={values} width={width} height={height} orientation="horizontal" itemSpacing={6}
      getAlignmentFactors={(all) => ({ title: all.reduce((longest, { display }) => (display.title.length > longest.length ? display.title : longest), ''), text: '0000.00', suffix: ' ms' })}
      renderValue={({ value, width, height, alignmentFactors }) => (
        <BarGauge value={value.display} field={value.field} width={width} height={height} orientation="horizontal" theme={theme} displayMode={panel.options.displayMode}
          alignmentFactors={alignmentFactors} showUnfilled={panel.options.showUnfilled} display={value.view?.getFieldDisplayProcessor(value.colIndex ?? 0)} namePlacement={panel.options.namePlacement} />
      )}
    />
  );
}

function Lines({ panel, frames, width, height }) {
  return (
    <TimeSeries frames={frames} timeRange={range} timeZone="utc" width={width} height={height} legend={panel.options.legend} options={panel.options} />
  );
}

function Heatmap({ panel, frames, width, height }) {
  const rows = frames.map((frame) => ({ le: number(frame.fields[1].labels.le), at: new Map(frame.fields[0].values.map((time, index) => [Math.round(time), frame.fields[1].values[index]])) }))
    .sort((a, b) => a.le - b.le);
  const times = [];
  for (let at = given.from; at <= given.to; at += given.step) {
    times.push(Math.round(at * 1000));
  }
  const counts = rows.map((row, index) => times.map((time) => (row.at.get(time) ?? 0) - (index ? rows[index - 1].at.get(time) ?? 0 : 0)));
  const seen = counts.map((row) => row.some((count) => count > 0.01));
  const first = Math.max(seen.indexOf(true) - 1, 0), last = Math.min(seen.lastIndexOf(true) + 1, rows.length - 1);
  const shown = rows.slice(first, last + 1), most = Math.max(...counts.flat(), 1);
  const left = 56, bottom = 20, cellWidth = (width - left) / times.length, cellHeight = (height - bottom) / Math.max(shown.length, 1);
  const format = getValueFormat(panel.options.yAxis.unit);
  const text = (value) => { const out = format(value); return `${out.prefix ?? ''}${out.text}${out.suffix ?? ''}`; };
  return (
    <svg width={width} height={height} style={{ fontSize: 11, fill: theme.colors.text.secondary }}>
      {shown.map((row, index) => {
        const y = height - bottom - (index + 1) * cellHeight;
        return (
          <g key={row.le}>
            {index % Math.ceil(shown.length / 8) === 0 && Number.isFinite(row.le) && <text x={left - 6} y={y + 4} textAnchor="end">{text(row.le)}</text>}
            {counts[first + index].map((count, at) => count > 0.01 && <rect key={at} x={left + at * cellWidth} y={y} width={cellWidth + 0.3} height={cellHeight - 0.6} fill={turbo(Math.pow(count / most, panel.options.color.exponent))} />)}
          </g>
        );
      })}
      <TimeAxis left={left} width={width} height={height} />
    </svg>
  );
}

function TimeAxis({ left, width, height }) {
  return [0.1, 0.3, 0.5, 0.7, 0.9].map((share) => {
    const at = new Date((given.from + share * (given.to - given.from)) * 1000).toISOString().slice(11, given.to - given.from < 600 ? 19 : 16);
    return <text key={share} x={left + share * (width - left)} y={height - 5} textAnchor="middle">{at}</text>;
  });
}

// The colour map "Turbo" as the polynomial that its authors published.
function turbo(t) {
  const channel = (c) => Math.round(Math.max(0, Math.min(255, c.reduceRight((sum, each) => sum * t + each, 0))));
  return `rgb(${channel([34.61, 1172.33, -10793.56, 33300.12, -38394.49, 14825.05])},${channel([23.31, 557.33, 1225.33, -3574.96, 1073.77, 707.56])},${channel([27.2, 3211.1, -15327.97, 27814, -22569.18, 6838.66])})`;
}

function Timeline({ panel, frames, width, height }) {
  const fields = frames[0]?.fields.slice(1) ?? [];
  if (!fields.length) {
    return <Empty text={panel.fieldConfig.defaults.noValue ?? 'No data'} width={width} height={height} />;
  }
  const times = frames[0].fields[0].values, left = 240, bottom = 22, rowHeight = Math.min((height - bottom) / fields.length, 34);
  const x = (index) => left + (index / Math.max(times.length - 1, 1)) * (width - left);
  return (
    <svg width={width} height={height} style={{ fontSize: 12, fill: theme.colors.text.primary }}>
      {fields.map((field, row) => {
        const display = field.display ?? getDisplayProcessor({ field, theme });
        const parts = [];
        field.values.forEach((value, index) => {
          const before = parts[parts.length - 1];
          if (before && before.value === value) {
            before.end = index + 1;
          } else {
            parts.push({ value, start: index, end: index + 1 });
          }
        });
        return (
          <g key={row}>
            <text x={left - 10} y={row * rowHeight + rowHeight / 2 + 4} textAnchor="end">{getFieldDisplayName(field, frames[0], frames)}</text>
            {parts.filter((part) => part.value != null).map((part) => {
              const shown = display(part.value);
              const w = x(Math.min(part.end, times.length - 1)) - x(part.start);
              return (
                <g key={part.start}>
                  <rect x={x(part.start)} y={row * rowHeight + rowHeight * 0.08} width={Math.max(w, 2)} height={rowHeight * 0.84} fill={shown.color} opacity={0.85} />
                  {w > 60 && <text x={x(part.start) + 6} y={row * rowHeight + rowHeight / 2 + 4} fill="#111217">{shown.text}</text>}
                </g>
              );
            })}
          </g>
        );
      })}
      <TimeAxis left={left} width={width} height={height} />
    </svg>
  );
}

function Rows({ panel, frames, width, height }) {
  const [frame] = frames;
  for (const { displayName } of panel.options.sortBy ?? []) {
    if (!frame.fields.some((field) => getFieldDisplayName(field, frame, frames) === displayName)) {
      complain(panel, `is sorted by ${displayName}, and there is no such column`);
    }
  }
  return <Table data={frame} width={width} height={height} initialSortBy={panel.options.sortBy} cellHeight={panel.options.cellHeight} fieldConfig={panel.fieldConfig} />;
}

function Empty({ text, width, height }) {
  return <div style={{ width, height, display: 'flex', alignItems: 'center', justifyContent: 'center', color: theme.colors.text.secondary }}>{text}</div>;
}

const KINDS = { stat: Stat, timeseries: Lines, heatmap: Heatmap, table: Rows, 'state-timeline': Timeline, bargauge: Bars };

function Panel({ panel, answers, width, height }) {
  const [frames, setFrames] = useState();
  useEffect(() => {
    processed(panel, answers).then(setFrames, (error) => { complain(panel, String(error)); done(); });
  }, []);
  useEffect(() => { if (frames) { done(); } }, [frames]);
  const Kind = KINDS[panel.type];
  const empty = frames && (!frames.length || !frames[0].length) && panel.type !== 'state-timeline';
  return (
    <PanelChrome title={panel.title} description={panel.description} width={width} height={height}>
      {(w, h) => frames && (empty ? <Empty text={panel.fieldConfig.defaults.noValue ?? 'No data'} width={w} height={h} /> : <Guard panel={panel}><Kind panel={panel} frames={frames} width={w} height={h} /></Guard>)}
    </PanelChrome>
  );
}

class Guard extends React.Component {
  state = {};
  static getDerivedStateFromError(error) { return { error }; }
  componentDidCatch(error) { complain(this.props.panel, String(error)); }
  render() { return this.state.error ? <div>{String(this.state.error)}</div> : this.props.children; }
}

const range = { from: dateTime(given.from * 1000), to: dateTime(given.to * 1000), raw: { from: 'now-1h', to: 'now' } };
let left = given.panels.length;
function done() {
  left -= 1;
  if (left === 0) {
    setTimeout(() => {
      const report = document.createElement('pre');
      report.id = 'report';
      report.style.display = 'none';
      report.textContent = JSON.stringify(problems);
      document.body.appendChild(report);
    }, 500);
  }
}

function Dashboard() {
  const unit = (given.width - MARGIN) / 24;
  const place = ({ x, y, w, h }) => ({ position: 'absolute', left: MARGIN + x * unit, top: 56 + y * (CELL + MARGIN), width: w * unit - MARGIN, height: h * (CELL + MARGIN) - MARGIN });
  return (
    <ThemeContext.Provider value={theme}>
      <div style={{ position: 'absolute', left: 16, top: 16, fontSize: 18, color: theme.colors.text.primary }}>
        {given.title}
        {given.variables.map(([name, value]) => <span key={name} style={{ marginLeft: 18, fontSize: 13, color: theme.colors.text.secondary }}>{name} <b style={{ color: theme.colors.text.primary }}>{value}</b></span>)}
      </div>
      {given.rows.map((row) => <div key={row.id} style={{ ...place(row.gridPos), color: theme.colors.text.primary, fontSize: 15, paddingTop: 6 }}>⌄ {row.title}</div>)}
      {given.panels.map(({ panel, answers }) => {
        const at = place(panel.gridPos);
        return <div key={panel.id} style={at}><Panel panel={panel} answers={answers} width={at.width} height={at.height} /></div>;
      })}
    </ThemeContext.Provider>
  );
}

window.addEventListener('error', (event) => problems.push(String(event.message)));
createRoot(document.getElementById('root')).render(<Dashboard />);
