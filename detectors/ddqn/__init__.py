"""Double DQN: learning when to buy, sell, cancel and hold, and acting on it without torch."""
