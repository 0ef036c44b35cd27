/**
 * The key of the public checksum database, which the go command trusts by default
 * (cmd/go/internal/modfetch/key.go, knownGOSUMDB).
 */
export const PUBLIC_DATABASE_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
