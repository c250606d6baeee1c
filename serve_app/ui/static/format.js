// Numbers as people read them.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export function bytes(value) {
  if (value == null) return "–";
  let power = 0;
  while (Math.abs(value) >= 1024 && power < UNITS.length - 1) {
    value /= 1024;
    power += 1;
  }
  return `${value.toFixed(power && Math.abs(value) < 100 ? (Math.abs(value) < 10 ? 2 : 1) : 0)} ${UNITS[power]}`;
}

export function seconds(value) {
  if (value == null) return "–";
  if (value < 0.01) return "0 s";
  if (value < 10) return `${value.toFixed(2)} s`;
  if (value < 60) return `${value.toFixed(0)} s`;
  if (value < 3600) return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
  return `${Math.floor(value / 3600)} h ${Math.round((value % 3600) / 60)} min`;
}

export const percent = (value, digits = 0) => (value == null ? "–" : `${(100 * value).toFixed(digits)} %`);

export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

export const clockTime = (epochSeconds) => new Date(epochSeconds * 1000).toLocaleTimeString();
