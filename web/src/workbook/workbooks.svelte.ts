import { panelOf, type Settings } from "../extend/panels";
import type { VehicleInfo } from "../protocol/messages";
import { RefusedError, SignedOutError, UnreachableError } from "../protocol/rest";
import { History } from "./history";
import { EMPTY, freeId, freePlace, inOrder, MAX_PANELS, MAX_SHEETS, readWorkbook, type PanelSpec, type Place, type Sheet, type Titled, type Workbook } from "./model";
import { isPreset, presetWorkbook } from "./presets";
import { createWorkbook, deleteWorkbook, getWorkbook, listWorkbooks, type WorkbookLine } from "./rest";
import { keepText, Saver, type KeyStore, type Progress } from "./saver";

/** What the server takes of a workbook. */
const MAX_CONTENT = 256 * 1024;
const RETRY_MS = 2000;

/** Whether what is shown is on the server; `draft`: on this device alone. */
export type SaveState = Exclude<Progress, "gone"> | "draft";

/**
 * The workbook in view. One's own is saved on the server at each change (`Saver`); a preset, or one of somebody else,
 * becomes a draft on this device when it is changed, until it is saved under a name.
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
  /** What the server told of the workbook that was opened last: it is known before the list is. */
  private opened = $state.raw<WorkbookLine | null>(null);
  readonly line = $derived(this.lines.find((line) => line.id === this.id) ?? (this.opened?.id === this.id ? this.opened : undefined));
  readonly isMine = $derived(this.line?.is_mine ?? false);
  /** The one that was asked for and that the server does not give for now: asked for again by itself. */
  awaited = $state<string | null>(null);
  /** There is none where one was asked for, or it is not for this person: the default one is shown. */
  isMissing = $state(false);

  /** A guest has presets alone. */
  isLocal = false;
  private user = "";
  private vehicle: VehicleInfo | null = null;
  private history = new History<Workbook>();
  private openings = 0;
  private readonly saver: Saver;

  /** `onChange`: what is shown is another. */
  constructor(
    private readonly storage: KeyStore,
    private readonly onChange: () => void,
  ) {
    this.saver = new Saver(storage, (id, progress) => this.onProgress(id, progress));
  }

  /** What is kept on this device is of this person; what they left unsaved here goes to the server. */
  signIn(user: string): void {
    this.user = user;
    if (!this.isLocal) this.saver.resume(user);
  }

  /** The page goes away. */
  leave(): void {
    this.saver.leave();
  }

  // --- which one ------------------------------------------------------------------------------------------------------

  /** Opens a preset or a saved workbook of the vehicle. Where there is none the default one; while the server is away, what is shown stays. */
  async open(vehicle: VehicleInfo, asked: string, sheet: string | null = null): Promise<void> {
    const opening = ++this.openings;
    if (asked !== this.awaited) this.awaited = null;
    this.isMissing = false;
    void this.saver.flush(this.id);
    const id = this.isLocal && !isPreset(asked) ? "default" : asked;
    if (isPreset(id)) this.showPreset(vehicle, id, sheet);
    else await this.openSaved(vehicle, id, sheet, () => opening === this.openings);
    void this.refresh();
  }

  /** Takes over new definitions of the same vehicle: a preset is made of its channels. */
  redefine(vehicle: VehicleInfo): void {
    if (vehicle.name !== this.vehicle?.name) return;
    this.vehicle = vehicle;
    if (isPreset(this.id) && this.saveState === "saved") this.current = presetWorkbook(vehicle, this.id);
  }

  async refresh(): Promise<void> {
    if (this.vehicle === null || this.isLocal) return;
    const { name } = this.vehicle;
    await this.tried(async () => {
      const lines = await listWorkbooks(name);
      if (name === this.vehicle?.name) this.lines = lines;
    });
  }

  private showPreset(vehicle: VehicleInfo, id: Parameters<typeof presetWorkbook>[1], sheet: string | null): void {
    const draft = this.draftOf(vehicle.name, id);
    this.show(vehicle, id, draft ?? presetWorkbook(vehicle, id), draft === null ? "saved" : "draft", sheet);
  }

  /** `isWanted`: no other was asked for meanwhile. */
  private async openSaved(vehicle: VehicleInfo, id: string, sheet: string | null, isWanted: () => boolean): Promise<void> {
    await this.saver.flush(id);
    const { told, isAway } = await this.read(id);
    if (!isWanted()) return;
    const unsaved = this.saver.unsaved(id);
    const draft = told?.is_mine === true ? null : this.draftOf(vehicle.name, id);
    this.opened = told;
    if (unsaved?.vehicle === vehicle.name) {
      this.opened = told ?? { ...unsaved, id, owner_name: "", is_mine: true, changed_utc_us: 0 };
      this.show(vehicle, id, unsaved.content, this.saver.progress(id) as SaveState, sheet);
    } else if (draft !== null) this.show(vehicle, id, draft, "draft", sheet);
    else if (told?.vehicle === vehicle.name) {
      this.saver.know(id, told.changed_utc_us);
      this.show(vehicle, id, told.content, "saved", sheet);
    } else if (isAway) this.askAgain(vehicle, id, sheet, isWanted);
    else {
      this.isMissing = true;
      this.showPreset(vehicle, "default", null);
    }
    const { opened } = this;
    if (this.id === id && opened !== null && this.lines.every((line) => line.id !== id)) this.lines = [...this.lines, opened];
  }

  private askAgain(vehicle: VehicleInfo, id: string, sheet: string | null, isWanted: () => boolean): void {
    this.awaited = id;
    if (this.vehicle?.name !== vehicle.name) this.showPreset(vehicle, "default", null);
    setTimeout(() => {
      if (isWanted() && !this.canUndo) void this.open(vehicle, id, sheet);
    }, RETRY_MS);
  }

  /** A saved workbook; null where there is none or it cannot be read, and where the server `isAway`. */
  private async read(id: string): Promise<{ readonly told: (WorkbookLine & { readonly content: Workbook }) | null; readonly isAway: boolean }> {
    try {
      const told = await getWorkbook(id);
      return { told: { ...told, content: readWorkbook(told.content) }, isAway: false };
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      return { told: null, isAway: error instanceof UnreachableError || error instanceof SignedOutError };
    }
  }

  private show(vehicle: VehicleInfo, id: string, workbook: Workbook, state: SaveState, sheet: string | null): void {
    if (id === this.awaited) this.awaited = null;
    this.vehicle = vehicle;
    this.id = id;
    this.current = workbook;
    this.sheetIndex = Math.max(0, workbook.sheets.findIndex((one) => one.id === sheet));
    this.saveState = state;
    this.history = new History();
    this.told();
  }

  // --- keeping --------------------------------------------------------------------------------------------------------

  /** Saves what is shown as a new workbook of this person, and goes on with that one. */
  async saveAs(name: string, isShared = false): Promise<boolean> {
    const { vehicle, id: before, current: content } = this;
    if (vehicle === null) return false;
    return this.tried(async () => {
      const line = { vehicle: vehicle.name, name, is_shared: isShared };
      const made = await createWorkbook({ ...line, content });
      this.saver.know(made.id, made.changed_utc_us);
      if (this.saver.progress(before) === "conflict") this.saver.forget(before);
      this.storage.removeItem(this.draftKey(vehicle.name, before));
      if (this.id === before && this.vehicle === vehicle) {
        this.opened = { ...line, ...made, owner_name: "", is_mine: true };
        this.id = made.id;
        this.saveState = "saved";
        if (this.current !== content) this.keep();
      }
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

  /** Sends what waits; true when the server has all that is shown. */
  async settle(): Promise<boolean> {
    await this.saver.flush(this.id);
    return this.saveState === "saved";
  }

  /** After a conflict: keeps what is shown, in place of what another device made. */
  async keepMine(): Promise<boolean> {
    return this.tried(() => this.saver.insist(this.id));
  }

  /** After a conflict: shows what another device made, in place of this. */
  async takeTheirs(): Promise<void> {
    this.saver.forget(this.id);
    if (this.vehicle !== null) await this.open(this.vehicle, this.id, this.sheet.id);
  }

  async remove(): Promise<boolean> {
    const vehicle = this.vehicle;
    if (vehicle === null || !this.isMine) return false;
    const { id } = this;
    return this.tried(async () => {
      await deleteWorkbook(id);
      this.saver.forget(id);
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
    if (!this.isMine) return false;
    this.keep(change);
    const isDone = await this.settle();
    await this.refresh();
    return isDone;
  }

  private draftOf(vehicle: string, id: string): Workbook | null {
    const text = this.storage.getItem(this.draftKey(vehicle, id));
    if (text === null) return null;
    try {
      return readWorkbook(JSON.parse(text));
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      return null; // Written by another version of this page.
    }
  }

  private dropDraft(): void {
    if (this.vehicle !== null) this.storage.removeItem(this.draftKey(this.vehicle.name, this.id));
  }

  /** Drafts are of one person and one vehicle, on this device. */
  private draftKey(vehicle: string, id: string): string {
    return `ved.draft.${this.user}.${vehicle}.${id}`;
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

  private keep(change: { readonly name?: string; readonly is_shared?: boolean } = {}): void {
    if (this.vehicle === null) return;
    const { line } = this;
    if (line?.is_mine === true) {
      const { vehicle, name, is_shared } = { ...line, ...this.saver.unsaved(line.id), ...change };
      this.saver.change(line.id, { vehicle, name, is_shared, content: this.current });
      return;
    }
    this.saveState = "draft";
    keepText(this.storage, this.draftKey(this.vehicle.name, this.id), JSON.stringify(this.current));
  }

  private onProgress(id: string, progress: Progress): void {
    const unsaved = this.saver.unsaved(id);
    if (progress === "gone" && unsaved !== undefined) {
      // Deleted on another device, changed on this one: it stays here until it is saved anew.
      keepText(this.storage, this.draftKey(unsaved.vehicle, id), JSON.stringify(unsaved.content));
      this.lines = this.lines.filter((line) => line.id !== id);
      if (this.opened?.id === id) this.opened = null;
      this.saver.forget(id);
      if (id === this.id) this.saveState = "draft";
    } else if (id === this.id && progress !== "gone") this.saveState = progress;
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

