/**
 * The key of the public checksum database, which the go command trusts by default
 * (cmd/go/internal/modfetch/key.go, knownGOSUMDB).
 */
export const PUBLIC_DATABASE_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";

/**
 * Heads of the public checksum database whose time is known to whoever made this release: every record below is at least
 * as old. So a new mirror with a minimum age is not empty on its first day. The sizes are those of its signed heads
 * (`/latest`) as served at these times.
 */
export const PUBLIC_DATABASE_HEADS: readonly { readonly size: number; readonly time: string }[] = [
  { size: 71_999_284, time: "2026-11-23T19:00:00Z" },
];
