import type { Scenarios } from '../suite.ts'
export const lives: Scenarios = {}
