import type { Scenarios } from '../suite.ts'
export const bodies: Scenarios = {}
