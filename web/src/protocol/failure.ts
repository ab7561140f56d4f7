import { t } from "../i18n/i18n.svelte";
import { RefusedError, SignedOutError, UnreachableError } from "./rest";

/** What a person is told of a request that failed: the server's own words, or why there are none. Throws what is another error. */
export function told(error: unknown): string {
  if (error instanceof RefusedError) return error.message;
  if (error instanceof UnreachableError) return t("unreachable.title");
  if (error instanceof SignedOutError) return t("signed_out.title");
  throw error;
}

/** The same as a sentence that stands alone. */
export const says = (error: unknown): string => (error instanceof RefusedError ? t("notice.error", { message: error.message }) : told(error));
