// A dashboard's JSON, as narrowly as Grafana's own types say it: every panel with the options of its kind.
import type { DataQuery, Dashboard, FieldConfig, FieldConfigSource, Panel } from '@grafana/schema';
import type * as bar from '@grafana/schema/dist/esm/raw/composable/barchart/panelcfg/x/BarChartPanelCfg_types.gen';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as time from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// JSON holds the values of enums, not their members.
type Plain<T> = T extends string ? `${T}` : T extends (infer U)[] ? Plain<U>[] : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;

// @grafana/schema does not hold the Prometheus query any more; these are the members that dashboards use.
interface Query extends DataQuery {
  expr: string;
  instant: boolean;
  range: boolean;
  format?: 'table' | 'time_series';
  legendFormat: string;
}

type Of<Kind extends string, Options, Custom> = Omit<Panel, 'type' | 'targets' | 'options' | 'fieldConfig'> & {
  id: number;
  title: string;
  description: string;
  type: Kind;
  targets: Query[];
  options: Partial<Options>;
  fieldConfig: Omit<FieldConfigSource, 'defaults'> & {
    defaults: Omit<FieldConfig, 'custom'> & { unit: string; custom?: Partial<Custom> };
  };
};

type Kinds =
  | Of<'barchart', bar.Options, bar.FieldConfig>
  | Of<'stat', stat.Options, never>
  | Of<'table', table.Options, table.FieldConfig>
  | Of<'timeseries', time.Options, time.FieldConfig>;

export type Screen = Plain<Omit<Dashboard, 'panels'> & { panels: Kinds[] }>;
