import type { Scenarios } from '../suite.ts'
export const objects: Scenarios = {}
