import type { Scenarios } from '../suite.ts'
export const refusals: Scenarios = {}
