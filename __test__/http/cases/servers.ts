import type { Scenarios } from '../suite.ts'
export const servers: Scenarios = {}
