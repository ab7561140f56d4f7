/** Roles of people, the least first; a guest sees one session. */
export const ROLES = ["guest", "viewer", "engineer", "admin"] as const;
export type Role = (typeof ROLES)[number];

/** True when a person of `role` (as the server tells it) may do what needs `least`. */
export function hasRole(role: string | undefined, least: Role): boolean {
  return ROLES.indexOf(role as Role) >= ROLES.indexOf(least);
}
