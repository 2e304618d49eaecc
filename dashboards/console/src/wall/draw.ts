/** Draws the field: each state has its own shape besides its colour, so that it reads without colour too. */
import type { StateWord } from "../api/types";
import type { Palette } from "../theme";
import { corner, type Packed } from "./packing";

export interface Scene {
  packed: Packed;
  stateOf: (device: number) => StateWord | null;
  palette: Palette;
  selected: number | null;
  /** Drawn pale: what is shown is not now. */
  stale: boolean;
}

/** Draw the whole field on a context whose unit is one CSS pixel. */
export function draw(context: CanvasRenderingContext2D, scene: Scene, width: number, height: number): void {
  const { packed, palette, selected } = scene;
  context.clearRect(0, 0, width, height);
  context.globalAlpha = scene.stale ? 0.4 : 1;
  for (const group of packed.groups) {
    group.devices.forEach((device, index) => {
      const { x, y } = corner(packed, group, index);
      square(context, x, y, packed.side, scene.stateOf(device), palette);
    });
  }
  context.globalAlpha = 1;
  if (selected !== null) outline(context, packed, selected, palette.ink);
}

function square(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  side: number,
  state: StateWord | null,
  palette: Palette,
): void {
  if (state === null) {
    context.fillStyle = palette.line;
    context.fillRect(x, y, side, side);
    return;
  }
  const colour = palette.state[state];
  context.fillStyle = colour;
  context.strokeStyle = colour;
  const line = Math.max(1, Math.round(side / 12));
  context.lineWidth = line;
  switch (state) {
    case "connected":
      context.fillRect(x, y, side, side);
      break;
    case "responding": // lower half full: it answers, without a value
      context.strokeRect(x + line / 2, y + line / 2, side - line, side - line);
      context.fillRect(x, y + side / 2, side, side / 2);
      break;
    case "linked": // a core only: a session, nothing in it
      context.strokeRect(x + line / 2, y + line / 2, side - line, side - line);
      context.fillRect(x + side * 0.32, y + side * 0.32, side * 0.36, side * 0.36);
      break;
    case "offline":
      context.fillRect(x, y, side, side);
      if (side >= 8) cross(context, x, y, side, line, palette.ground);
      break;
    case "unobserved": // empty: nobody can say
      context.strokeRect(x + line / 2, y + line / 2, side - line, side - line);
      break;
  }
}

function cross(context: CanvasRenderingContext2D, x: number, y: number, side: number, line: number, colour: string): void {
  const inset = side * 0.3;
  context.strokeStyle = colour;
  context.lineWidth = line + 0.5;
  context.beginPath();
  context.moveTo(x + inset, y + inset);
  context.lineTo(x + side - inset, y + side - inset);
  context.moveTo(x + side - inset, y + inset);
  context.lineTo(x + inset, y + side - inset);
  context.stroke();
}

function outline(context: CanvasRenderingContext2D, packed: Packed, device: number, colour: string): void {
  for (const group of packed.groups) {
    const index = group.devices.indexOf(device);
    if (index < 0) continue;
    const { x, y } = corner(packed, group, index);
    context.strokeStyle = colour;
    context.lineWidth = 2;
    context.strokeRect(x - 1, y - 1, packed.side + 2, packed.side + 2);
  }
}
