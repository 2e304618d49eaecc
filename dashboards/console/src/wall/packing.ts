/**
 * Places squares in a field: as large as they fit, group after group, each group beginning on a row of its own.
 * Many small groups stand in lanes side by side, wherever that makes the squares larger.
 */

export interface Group {
  key: string;
  label: string;
  /** Numbers of the group's devices, in the order they are drawn. */
  devices: number[];
}

export interface Packed {
  /** Distance from one square to the next, px, not always whole; the square itself is `side`. */
  pitch: number;
  side: number;
  columns: number;
  height: number;
  /** Left edge of each group's lane, top of its heading and of its first row, px. */
  groups: Placed[];
}

export interface Placed {
  key: string;
  label: string;
  left: number;
  heading: number;
  top: number;
  devices: number[];
}

const LARGEST = 40;
const SMALLEST = 4;
/** Most lanes, and the space between two, px. */
const MOST_LANES = 4;
const BETWEEN_LANES = 32;
/** Narrower lanes, px, would cut the headings. */
const NARROWEST_LANE = 240;
/** Below this pitch, px, a fraction of a pixel would show as seams: the field then ends where it ends. */
const EVEN_FROM = 12;

/** Space between two squares at this pitch, px. */
function spaceIn(pitch: number): number {
  return pitch >= 20 ? 4 : pitch >= 12 ? 3 : pitch >= 7 ? 2 : 1;
}

/** Rows that groups of these sizes need at `columns` squares a row. */
export function rowsNeeded(sizes: readonly number[], columns: number): number {
  return sizes.reduce((rows, size) => rows + Math.ceil(size / columns), 0);
}

/** The largest pitch whose rows fit into `height`; large squares are spread so that the last column ends flush. */
function largestThatFits(sizes: readonly number[], width: number, height: number): { pitch: number; columns: number } {
  for (let columns = Math.max(1, Math.ceil(width / LARGEST)); width / columns >= EVEN_FROM; columns += 1) {
    const pitch = Math.min(LARGEST, (width + spaceIn(width / columns)) / columns);
    if (rowsNeeded(sizes, columns) * pitch <= height) return { pitch, columns };
  }
  for (let pitch = EVEN_FROM; pitch > SMALLEST; pitch -= 1) {
    const columns = Math.max(1, Math.floor(width / pitch));
    if (rowsNeeded(sizes, columns) * pitch <= height) return { pitch, columns };
  }
  return { pitch: SMALLEST, columns: Math.max(1, Math.floor(width / SMALLEST)) };
}

/**
 * Pack `groups` into width × height px, with `heading` px above each group and `between` px below it.
 *
 * Where even the smallest squares do not fit, the field grows downwards rather than leaving devices out.
 */
export function pack(groups: readonly Group[], width: number, height: number, heading: number, between = 10): Packed {
  const shown = groups.filter((group) => group.devices.length > 0);
  let best = packInLanes(shown, 1, width, height, heading, between);
  for (let lanes = 2; lanes <= Math.min(MOST_LANES, shown.length); lanes += 1) {
    if ((width - (lanes - 1) * BETWEEN_LANES) / lanes < NARROWEST_LANE) break;
    const other = packInLanes(shown, lanes, width, height, heading, between);
    if (other.height <= height && (other.side > best.side || best.height > height)) best = other;
  }
  return best;
}

function packInLanes(
  shown: readonly Group[],
  lanes: number,
  width: number,
  height: number,
  heading: number,
  between: number,
): Packed {
  const laneWidth = (width - (lanes - 1) * BETWEEN_LANES) / lanes;
  const perLane = Math.ceil(shown.length / lanes);
  const members = Array.from({ length: lanes }, (_, lane) => shown.slice(lane * perLane, (lane + 1) * perLane));
  const fits = members.map((here) => {
    const fixed = here.length * heading + Math.max(0, here.length - 1) * between;
    return largestThatFits(
      here.map((group) => group.devices.length),
      laneWidth,
      height - fixed,
    );
  });
  const { pitch, columns } = fits.reduce((least, fit) => (fit.pitch < least.pitch ? fit : least));
  const side = Math.floor(pitch) - spaceIn(pitch);
  const placed: Placed[] = [];
  let bottom = 0;
  members.forEach((here, lane) => {
    let y = 0;
    for (const group of here) {
      const top = y + heading;
      const left = lane * (laneWidth + BETWEEN_LANES);
      placed.push({ key: group.key, label: group.label, left, heading: y, top, devices: group.devices });
      y = top + Math.ceil(group.devices.length / columns) * pitch + between;
    }
    bottom = Math.max(bottom, y - between);
  });
  return { pitch, side, columns, height: Math.max(0, bottom), groups: placed };
}

/** Corner of the square at `index` within a group. */
export function corner(packed: Packed, group: Placed, index: number): { x: number; y: number } {
  const [column, row] = [index % packed.columns, Math.floor(index / packed.columns)];
  return { x: Math.round(group.left + column * packed.pitch), y: Math.round(group.top + row * packed.pitch) };
}

/** The device under a point of the field, or null. */
export function deviceAt(packed: Packed, x: number, y: number): number | null {
  for (const group of packed.groups) {
    const [column, row] = [Math.floor((x - group.left) / packed.pitch), Math.floor((y - group.top) / packed.pitch)];
    const inLane = column >= 0 && column < packed.columns;
    if (inLane && row >= 0 && row < Math.ceil(group.devices.length / packed.columns)) {
      return group.devices[row * packed.columns + column] ?? null;
    }
  }
  return null;
}

/** The neighbour that an arrow key leads to, over group borders. */
export function neighbour(packed: Packed, from: number, key: string): number {
  const order = packed.groups.flatMap((group) => group.devices);
  const index = order.indexOf(from);
  if (index < 0) return order[0] ?? from;
  if (key === "ArrowLeft") return order[index - 1] ?? from;
  if (key === "ArrowRight") return order[index + 1] ?? from;
  if (key === "Home") return order[0] ?? from;
  if (key === "End") return order[order.length - 1] ?? from;
  const place = placeOf(packed, from);
  if (place === null) return from;
  const step = key === "ArrowUp" ? -packed.pitch : packed.pitch;
  const limit = packed.height;
  for (let y = place.y + step; y >= 0 && y < limit; y += step / 2) {
    const found = deviceAt(packed, place.x, y);
    if (found !== null && found !== from) return found;
  }
  return from;
}

/** Centre of a device's square, or null where it is not in the field. */
export function placeOf(packed: Packed, device: number): { x: number; y: number } | null {
  for (const group of packed.groups) {
    const index = group.devices.indexOf(device);
    if (index < 0) continue;
    const at = corner(packed, group, index);
    return { x: at.x + packed.side / 2, y: at.y + packed.side / 2 };
  }
  return null;
}
