// Tokens by jose, signed with keys it made.
import { SignJWT, exportJWK, generateKeyPair } from 'jose'

const now = 1795262400 // 2026-11-21T12:00:00Z
const keys = []
const tokens = []
for (const alg of ['RS256', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']) {
  const { publicKey, privateKey } = await generateKeyPair(alg, alg === 'EdDSA' ? { crv: 'Ed25519' } : {})
  const kid = `js-${alg}`
  keys.push({ ...(await exportJWK(publicKey)), kid, alg, use: 'sig' })
  const token = await new SignJWT({ realm_access: { roles: ['emitter', 'staff'] } })
    .setProtectedHeader({ alg, kid, typ: 'JWT' })
    .setIssuer('https://id.example').setAudience('signalbox').setSubject('ada').setIssuedAt(now - 60).setExpirationTime(now + 3600)
    .sign(privateKey)
  tokens.push({ by: 'jose', name: alg, want: '', token })
}
// What a provider may publish beside keys for signatures.
keys.push({ kty: 'oct', kid: 'js-oct', k: 'c2VjcmV0' }, { ...keys[0], kid: 'js-enc', use: 'enc' }, { kty: 'NEW', kid: 'js-new' })
console.log(JSON.stringify({ keys, tokens }))
