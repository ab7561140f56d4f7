/** Handler of single keys: silent while a person types, a dialog is open, or a button takes the space bar. */
export function shortcuts(keys: Readonly<Record<string, () => unknown>>): (event: KeyboardEvent) => void {
  return (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target;
    if (document.querySelector("dialog[open]") !== null) return;
    if (target instanceof Element && target.closest("input, select, textarea, [contenteditable]") !== null) return;
    if (event.key === " " && target instanceof Element && target.closest("button, [role=button]") !== null) return;
    const act = keys[event.key];
    if (act === undefined) return;
    event.preventDefault();
    act();
  };
}
