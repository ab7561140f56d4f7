import "gridstack/dist/gridstack.min.css";
import { GridStack, type GridStackNode } from "gridstack";
import { COLUMNS, type PanelSpec, type Place } from "./model";

/** Moving and sizing of the panels of a sheet, while it is being arranged (gridstack, loaded for it). */
export class GridEditor {
  private readonly grid: GridStack;
  private isSyncing = false;

  constructor(
    private readonly element: HTMLElement,
    cellPx: number,
    private readonly onArrange: (places: ReadonlyMap<string, Place>) => void,
  ) {
    const grid = GridStack.init(
      { column: COLUMNS, cellHeight: cellPx, margin: 4, handle: ".panel-head", mode: "float", animate: false, draggable: { cancel: "button" }, resizable: { handles: "e,se,s,sw,w" } },
      element,
    );
    if (grid === null) throw new Error("no grid to arrange");
    this.grid = grid;
    this.grid.on("change", () => this.changed());
  }

  /** Takes over panels that came, went or moved by other means. */
  sync(panels: readonly PanelSpec[]): void {
    this.isSyncing = true;
    this.grid.batchUpdate(true);
    const known = new Map(this.grid.engine.nodes.map((node) => [node.id, node]));
    for (const { id, x, y, w, h } of panels) {
      const node = known.get(id);
      known.delete(id);
      if (node?.el === undefined) {
        const element = [...this.element.children].find((child) => child.getAttribute("gs-id") === id);
        if (element instanceof HTMLElement) this.grid.makeWidget(element, { id, x, y, w, h });
      } else if (node.x !== x || node.y !== y || node.w !== w || node.h !== h) {
        this.grid.update(node.el, { x, y, w, h });
      }
    }
    for (const node of known.values()) if (node.el !== undefined) this.grid.removeWidget(node.el, false, false);
    this.grid.batchUpdate(false);
    this.isSyncing = false;
  }

  destroy(): void {
    this.grid.destroy(false);
  }

  private changed(): void {
    if (this.isSyncing) return;
    const places = this.grid.engine.nodes.map((node: GridStackNode) => [node.id ?? "", { x: node.x ?? 0, y: node.y ?? 0, w: node.w ?? 1, h: node.h ?? 1 }] as const);
    this.onArrange(new Map(places));
  }
}
