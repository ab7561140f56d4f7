import { getJson, sendJson } from "../protocol/rest";

/** People and links as the server tells them (docs/api.md). */

export const ROLES = ["viewer", "engineer", "admin"] as const;
export type PersonRole = (typeof ROLES)[number];

export interface Me {
  readonly name: string;
  readonly role: string;
  readonly is_named: boolean;
  readonly has_password: boolean;
}

export interface Person {
  readonly id: number;
  readonly name: string;
  readonly role: PersonRole;
  readonly has_password: boolean;
  readonly places: number;
  readonly is_me: boolean;
}

export interface Invitation {
  readonly id: number;
  readonly role: PersonRole | "guest";
  readonly is_reusable: boolean;
  readonly uses: number;
  readonly expires_utc_s: number;
  readonly author: string;
  readonly session: string;
  readonly vehicle: string;
  readonly shows_positions: boolean;
  readonly shows_notes: boolean;
}

export interface InvitationDraft {
  readonly role: PersonRole | "guest";
  readonly hours: number;
  readonly is_reusable: boolean;
  readonly session: string;
  readonly shows_positions: boolean;
  readonly shows_notes: boolean;
}

export interface MadeLink {
  readonly id: number;
  readonly url: string;
  /** The link as an image, a `data:` address. */
  readonly qr: string;
}

export interface Edit {
  readonly utc_us: number;
  readonly who: string;
  readonly subject: string;
  readonly key: string;
  readonly before: unknown;
  readonly after: unknown;
}

export const getMe = (): Promise<Me> => getJson("/api/me");
export const rename = (name: string): Promise<unknown> => sendJson("PATCH", "/api/me", { name });
export const setPassword = (password: string, current: string): Promise<unknown> => sendJson("PUT", "/api/me/password", { password, current });
export const signOutEverywhere = (): Promise<unknown> => sendJson("POST", "/api/me/signout-everywhere");
export const makeToolToken = async (): Promise<string> => (await sendJson<{ token: string }>("POST", "/api/me/tool-token"))!.token;

export const listPeople = (): Promise<Person[]> => getJson("/api/people");
export const setRole = (id: number, role: PersonRole): Promise<unknown> => sendJson("PATCH", `/api/people/${id}`, { role });
export const removePerson = (id: number): Promise<unknown> => sendJson("DELETE", `/api/people/${id}`);
export const signOutPerson = (id: number): Promise<unknown> => sendJson("POST", `/api/people/${id}/signout`);
export const listEdits = (): Promise<Edit[]> => getJson("/api/edits");

export const listInvitations = (): Promise<Invitation[]> => getJson("/api/invitations");
export const revokeInvitation = (id: number): Promise<unknown> => sendJson("DELETE", `/api/invitations/${id}`);
export const invite = async (draft: InvitationDraft): Promise<MadeLink> => (await sendJson<MadeLink>("POST", "/api/invitations", draft))!;
