export { feed } from "./feed.svelte";
