import "uplot/dist/uPlot.min.css";
import "./app.css";
import { mount } from "svelte";
import { i18n } from "../i18n/i18n.svelte";
import App from "./App.svelte";
import { theme } from "./theme.svelte";

theme.start();
i18n.start();
const target = document.getElementById("app");
if (target === null) throw new Error("the page has no #app");
mount(App, { target });
