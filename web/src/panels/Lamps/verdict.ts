import type { ChannelInfo } from "../../protocol/messages";

export type Verdict = "good" | "bad" | "warn" | "off";

const BAD = /fault|fail|error|weld|ground|\bunder|\bover|lost|timeout|emergency|e-stop|trip|critical|^not ok|^invalid|défaut|erreur|panne|coup(ure|é)/i;
const WARN = /warn|derat|limit|precharg|speed start|degrad|attention|^not /i;
const GOOD =
  /^(ok|normal|closed|yes|ready|running|run|driv(e|ing)|(dis)?charg(e|ing)|balancing|tracking|recover(y|ing)|regen\w*|cruise|corner|pulse|on|active|enabled|connected|valid|fix|2d|3d|fermé|oui|prêt|marche)\b/i;
/** Where "yes" is bad news. */
const BAD_WHEN_TRUE = /error|fault|derating|warning|alarm|trip|emergency|défaut/i;
/** Where "no" is bad news. */
const BAD_WHEN_FALSE = /ok$|valid$|plausible$|healthy$/i;
/** Where any element that is open stops the car. */
const CHAIN = /shutdown|interlock|chain|air(positive|negative)?|contactor|relay/i;

/** What a state means for the car, by the words of the value table and the name of the signal; unsure means "off". */
export function verdictOf(info: ChannelInfo | undefined, value: number, text: string | null): Verdict {
  const signal = info?.signal ?? "";
  if (Number.isNaN(value)) return "off";
  if (text === null || /^(yes|no|true|false|oui|non|on|off|0|1)$/i.test(text)) {
    const isTrue = text === null ? value !== 0 : /^(yes|true|oui|on|1)$/i.test(text);
    if (BAD_WHEN_TRUE.test(signal)) return isTrue ? "bad" : "off";
    if (BAD_WHEN_FALSE.test(signal)) return isTrue ? "good" : "bad";
    return isTrue ? "good" : "off";
  }
  if (CHAIN.test(signal) && /open|ouvert/i.test(text)) return /shutdown|interlock|chain/i.test(signal) ? "bad" : "off";
  if (BAD.test(text)) return "bad";
  if (WARN.test(text)) return "warn";
  return GOOD.test(text) ? "good" : "off";
}
