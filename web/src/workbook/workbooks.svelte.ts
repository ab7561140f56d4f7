import { panelOf, type Settings } from "../extend/panels";
import type { VehicleInfo } from "../protocol/messages";
import { RefusedError, SignedOutError, UnreachableError } from "../protocol/rest";
import { History } from "./history";
import { EMPTY, freeId, freePlace, inOrder, MAX_PANELS, MAX_SHEETS, readWorkbook, type PanelSpec, type Place, type Sheet, type Titled, type Workbook } from "./model";
import { isPreset, presetWorkbook } from "./presets";
import { createWorkbook, deleteWorkbook, getWorkbook, listWorkbooks, saveWorkbook, type WorkbookLine } from "./rest";

const SAVE_MS = 1000;
/** What the server takes of a workbook. */
const MAX_CONTENT = 256 * 1024;

/** Whether what is shown is on the server. */
export type SaveState = "saved" | "saving" | "unsaved" | "failed" | "draft";

/**
 * The workbook in view. One's own is saved on the server at each change; a preset, or one of somebody else, becomes a
 * draft on this device when it is changed, until it is saved under a name.
 */
export class Workbooks {
  lines = $state.raw<readonly WorkbookLine[]>([]);
  id = $state("default");
  current = $state.raw<Workbook>(EMPTY);
  sheetIndex = $state(0);
  saveState = $state<SaveState>("saved");
  canUndo = $state(false);
  canRedo = $state(false);
  /** Moves at each change: those that draw what is shown look again. */
  readonly sheet: Sheet = $derived(this.current.sheets[Math.min(this.sheetIndex, this.current.sheets.length - 1)]!);
  readonly line = $derived(this.lines.find((line) => line.id === this.id));
  readonly isMine = $derived(this.line?.is_mine ?? false);

  /** A guest has presets alone. */
  isLocal = false;
  private vehicle: VehicleInfo | null = null;
  private history = new History<Workbook>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `onChange`: what is shown is another. */
  constructor(
    private readonly storage: Pick<Storage, "getItem" | "setItem" | "removeItem">,
    private readonly onChange: () => void,
  ) {}

  // --- which one ------------------------------------------------------------------------------------------------------

  /** Opens a preset or a saved workbook of the vehicle; the default one where that fails. */
  async open(vehicle: VehicleInfo, asked: string, sheet: string | null = null): Promise<void> {
    this.vehicle = vehicle;
    const id = this.isLocal && !isPreset(asked) ? "default" : asked;
    const draft = this.draftOf(vehicle.name, id);
    if (isPreset(id)) this.show(id, draft ?? presetWorkbook(vehicle, id), draft === null ? "saved" : "draft", sheet);
    else await this.openSaved(vehicle, id, draft, sheet);
    void this.refresh();
  }

  /** Takes over new definitions of the same vehicle: a preset is made of its channels. */
  redefine(vehicle: VehicleInfo): void {
    this.vehicle = vehicle;
    if (isPreset(this.id) && this.saveState === "saved") this.current = presetWorkbook(vehicle, this.id);
  }

  async refresh(): Promise<void> {
    if (this.vehicle === null || this.isLocal) return;
    await this.tried(async () => {
      this.lines = await listWorkbooks(this.vehicle!.name);
    });
  }

  private async openSaved(vehicle: VehicleInfo, id: string, draft: Workbook | null, sheet: string | null): Promise<void> {
    let content: Workbook | null = draft;
    await this.tried(async () => {
      const told = await getWorkbook(id);
      if (told.vehicle === vehicle.name) content ??= readWorkbook(told.content);
    });
    if (content === null) this.show("default", presetWorkbook(vehicle, "default"), "saved", null);
    else this.show(id, content, draft === null ? "saved" : "draft", sheet);
  }

  private show(id: string, workbook: Workbook, state: SaveState, sheet: string | null): void {
    this.id = id;
    this.current = workbook;
    this.sheetIndex = Math.max(0, workbook.sheets.findIndex((one) => one.id === sheet));
    this.saveState = state;
    this.history = new History();
    this.told();
  }

  // --- keeping --------------------------------------------------------------------------------------------------------

  /** Saves what is shown as a new workbook of this person, and goes on with that one. */
  async saveAs(name: string): Promise<boolean> {
    const vehicle = this.vehicle;
    if (vehicle === null) return false;
    return this.tried(async () => {
      const id = await createWorkbook({ vehicle: vehicle.name, name, is_shared: false, content: this.current });
      this.dropDraft();
      this.id = id;
      this.saveState = "saved";
      await this.refresh();
      this.onChange();
    });
  }

  async rename(name: string): Promise<boolean> {
    return this.put({ name });
  }

  /** Shared: everybody who is signed in sees it in their list, and its link works. */
  async share(isShared: boolean): Promise<boolean> {
    return this.put({ is_shared: isShared });
  }

  async remove(): Promise<boolean> {
    const vehicle = this.vehicle;
    if (vehicle === null || !this.isMine) return false;
    return this.tried(async () => {
      await deleteWorkbook(this.id);
      await this.open(vehicle, "default");
    });
  }

  /** Back to what the preset, or the workbook of somebody else, was. */
  async discardDraft(): Promise<void> {
    this.dropDraft();
    if (this.vehicle !== null) await this.open(this.vehicle, this.id, this.sheet.id);
  }

  /**
   * Takes over a workbook from JSON text as a change that undo takes back; throws a RangeError where it is
   * too large, a SyntaxError where it is no JSON, else an Error that says what is wrong. Gives the name of the vehicle that the file is of, where that is another one.
   */
  importText(text: string): string | null {
    if (text.length > MAX_CONTENT) throw new RangeError("larger than what the server keeps");
    const value: unknown = JSON.parse(text);
    const file: object = typeof value === "object" && value !== null ? value : {};
    this.change(readWorkbook("content" in file ? file.content : value));
    this.selectSheet(0);
    const from = "vehicle" in file && typeof file.vehicle === "string" ? file.vehicle : this.vehicle?.name;
    return from === this.vehicle?.name ? null : (from ?? null);
  }

  private async put(change: { readonly name?: string; readonly is_shared?: boolean }): Promise<boolean> {
    const line = this.line;
    if (line === undefined || !line.is_mine) return false;
    clearTimeout(this.timer);
    this.saveState = "saving";
    const isDone = await this.tried(async () => {
      await saveWorkbook(line.id, { vehicle: line.vehicle, name: change.name ?? line.name, is_shared: change.is_shared ?? line.is_shared, content: this.current });
      await this.refresh();
    });
    this.saveState = isDone ? "saved" : "failed";
    return isDone;
  }

  private draftOf(vehicle: string, id: string): Workbook | null {
    const text = this.storage.getItem(draftKey(vehicle, id));
    if (text === null) return null;
    try {
      return readWorkbook(JSON.parse(text));
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      return null; // Written by another version of this page.
    }
  }

  private dropDraft(): void {
    if (this.vehicle !== null) this.storage.removeItem(draftKey(this.vehicle.name, this.id));
  }

  /** True when the server did it; its refusals and absences are told by the state, not thrown. */
  private async tried(action: () => Promise<void>): Promise<boolean> {
    try {
      await action();
      return true;
    } catch (error) {
      if (error instanceof RefusedError || error instanceof UnreachableError || error instanceof SignedOutError) return false;
      throw error;
    }
  }

  private keep(): void {
    if (this.vehicle === null) return;
    if (this.isMine) {
      this.saveState = "unsaved";
      clearTimeout(this.timer);
      this.timer = setTimeout(() => void this.put({}), SAVE_MS);
      return;
    }
    this.saveState = "draft";
    this.storage.setItem(draftKey(this.vehicle.name, this.id), JSON.stringify(this.current));
  }

  // --- changes --------------------------------------------------------------------------------------------------------

  undo(): void {
    this.replace(this.history.undo(this.current));
  }

  redo(): void {
    this.replace(this.history.redo(this.current));
  }

  selectSheet(index: number): void {
    this.sheetIndex = Math.min(Math.max(0, index), this.current.sheets.length - 1);
    this.told();
  }

  addSheet(): void {
    if (this.current.sheets.length >= MAX_SHEETS) return;
    this.change({ ...this.current, sheets: [...this.current.sheets, { id: freeId(this.current.sheets), title_en: "", title_fr: "", panels: [] }] });
    this.selectSheet(this.current.sheets.length - 1);
  }

  removeSheet(): void {
    const { sheets } = this.current;
    if (sheets.length < 2) return;
    const gone = this.sheet;
    this.change({ ...this.current, sheets: sheets.filter((sheet) => sheet !== gone) });
    this.selectSheet(this.sheetIndex);
  }

  moveSheet(by: -1 | 1): void {
    const sheets = [...this.current.sheets];
    const to = this.sheetIndex + by;
    if (to < 0 || to >= sheets.length) return;
    sheets.splice(to, 0, ...sheets.splice(this.sheetIndex, 1));
    this.change({ ...this.current, sheets });
    this.selectSheet(to);
  }

  renameSheet(title: string): void {
    this.changeSheet({ ...this.sheet, title_en: title, title_fr: title });
  }

  /** Puts a panel on the sheet, with settings of its own or the least there are; its id, null when the sheet is full. */
  addPanel(kind: string, settings: Settings = {}, titled: Titled = { title_en: "", title_fr: "" }): string | null {
    const definition = panelOf(kind);
    const { panels } = this.sheet;
    if (definition === undefined || panels.length >= MAX_PANELS) return null;
    const id = freeId(panels);
    const { w, h } = definition.size;
    this.changeSheet({ ...this.sheet, panels: [...panels, { id, kind, ...titled, ...freePlace(panels, w, h), settings }] });
    return id;
  }

  removePanel(id: string): void {
    this.changeSheet({ ...this.sheet, panels: this.sheet.panels.filter((panel) => panel.id !== id) });
  }

  changePanel(id: string, change: Partial<Pick<PanelSpec, "settings" | "title_en" | "title_fr">>): void {
    this.changeSheet({ ...this.sheet, panels: this.sheet.panels.map((panel) => (panel.id === id ? { ...panel, ...change } : panel)) });
  }

  /** New places of panels, as one change. */
  arrange(places: ReadonlyMap<string, Place>): void {
    const panels = this.sheet.panels.map((panel) => ({ ...panel, ...places.get(panel.id) }));
    const isSame = panels.every((panel, i) => (["x", "y", "w", "h"] as const).every((key) => panel[key] === this.sheet.panels[i]![key]));
    if (!isSame) this.changeSheet({ ...this.sheet, panels });
  }

  /** Changes the places of a panel and the one before (-1) or after it (1), where there is one. */
  movePanel(id: string, step: -1 | 1): void {
    const panels = inOrder(this.sheet.panels);
    const at = panels.findIndex((panel) => panel.id === id);
    const one = panels[at];
    const other = panels[at + step];
    if (one === undefined || other === undefined) return;
    const placeOf = ({ x, y, w, h }: PanelSpec): Place => ({ x, y, w, h });
    this.arrange(
      new Map([
        [one.id, placeOf(other)],
        [other.id, placeOf(one)],
      ]),
    );
  }

  private changeSheet(sheet: Sheet): void {
    const before = this.sheet;
    this.change({ ...this.current, sheets: this.current.sheets.map((one) => (one === before ? sheet : one)) });
  }

  private change(next: Workbook): void {
    this.history.push(this.current);
    this.replace(next);
  }

  private replace(next: Workbook | undefined): void {
    if (next === undefined) return;
    this.current = next;
    this.sheetIndex = Math.min(this.sheetIndex, next.sheets.length - 1);
    this.keep();
    this.told();
  }

  private told(): void {
    this.canUndo = this.history.canUndo;
    this.canRedo = this.history.canRedo;
    this.onChange();
  }
}

const draftKey = (vehicle: string, id: string): string => `ved.draft.${vehicle}.${id}`;
